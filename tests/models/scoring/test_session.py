"""A session scores as the bundle says, the same bits in any batch, on the device that was asked for."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from models.bundle.graph import INPUT
from models.bundle.load import load_bundle
from models.scoring import session as module
from models.scoring.bound import BoundGraph
from models.scoring.devices import DeviceError, create_session, open_session
from models.scoring.scores import Scores
from models.scoring.session import SLICE_ROWS, ModelSession, OnGpu

BUNDLE = load_bundle(Path("deploy/bundles/fraud"))
CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


@pytest.fixture(scope="module")
def session() -> ModelSession:
    """The committed bundle on the CPU."""
    return ModelSession(BUNDLE, "cpu")


def offer_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the GPU's build of ONNX Runtime does, with a card or without."""
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)


def rows(count: int) -> NDArray[np.float32]:
    """Feature rows spread over and beyond what training saw."""
    edges = [np.array(histogram.edges) for histogram in BUNDLE.reference.features]
    random = np.random.default_rng(3)
    columns = [random.uniform(e[0], e[-1] * 1.5 + 1.0, count) ** random.uniform(0.5, 1.0) for e in edges]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.parametrize("size", [1, 2, 7, 16, 64, 256, 1000, 1024, 1025, 2000])
def test_a_rows_bits_are_the_same_in_any_batch(session: ModelSession, size: int) -> None:
    """What makes scores comparable after a replay: 2,050 rows in batches of every size."""
    matrix = rows(2050)
    whole = session.run(matrix)
    parts = [session.run(matrix[start : start + size]) for start in range(0, len(matrix), size)]
    for name in Scores._fields:
        together = np.concatenate([getattr(part, name) for part in parts])
        assert together.tobytes() == getattr(whole, name).tobytes()


def test_scores_are_float32_columns_in_their_ranges(session: ModelSession) -> None:
    """Also far outside of what training saw."""
    matrix = np.concatenate([rows(300), rows(50) * np.float32(1e30), -rows(50)])
    scores = session.run(matrix)
    assert {column.dtype for column in scores} == {np.dtype(np.float32)}
    assert {column.shape for column in scores} == {(400,)}
    assert np.isfinite(np.stack(scores)).all()
    assert (scores.probability >= 0).all()
    assert (scores.probability <= 1).all()
    assert (scores.reconstruction_error >= 0).all()
    assert (scores.anomaly_percentile >= 0).all()
    assert (scores.anomaly_percentile <= 100).all()


def test_a_larger_error_never_has_a_smaller_percentile(session: ModelSession) -> None:
    """The percentile is a monotone function of the error."""
    scores = session.run(rows(3000))
    by_error = scores.anomaly_percentile[np.argsort(scores.reconstruction_error)]
    assert (np.diff(by_error) >= 0).all()
    assert len(np.unique(by_error)) > 50


def test_no_rows_give_no_scores(session: ModelSession) -> None:
    """An empty batch is not an error."""
    assert [column.shape for column in session.run(rows(0))] == [(0,)] * 3


def test_padding_and_slices_change_nothing(session: ModelSession) -> None:
    """The session's scores are those of the graph run at once."""
    matrix = rows(SLICE_ROWS["cpu"] + 16)
    plain, _ = create_session(BUNDLE.model, "cpu")
    expected = plain.run(list(Scores._fields), {INPUT: matrix})
    assert [a.tobytes() for a in session.run(matrix)] == [e.tobytes() for e in expected]


@pytest.mark.parametrize("count", [0, 1, 17, 500, SLICE_ROWS["cpu"] + 16])
def test_the_probability_alone_is_that_of_the_whole_graph(session: ModelSession, count: int) -> None:
    """To the bit, of as many rows."""
    matrix = rows(count)
    assert session.probability(matrix).tobytes() == session.run(matrix).probability.tobytes()


def test_threads_may_share_a_session(session: ModelSession) -> None:
    """Partitions' workers run at the same time."""
    matrix = rows(500)
    expected = session.run(matrix).probability.tobytes()
    with ThreadPoolExecutor(4) as pool:
        assert {result.probability.tobytes() for result in pool.map(lambda _: session.run(matrix), range(32))} == {
            expected
        }


def test_the_model_name_tells_bundle_version_and_provider(session: ModelSession) -> None:
    """What each score carries."""
    assert session.provider == "cpu"
    assert session.model_name == f"fraud/{BUNDLE.manifest.version}@cpu"


@pytest.mark.skipif(CUDA, reason="ONNX Runtime offers CUDA here: install the extra cpu in place of gpu")
def test_cuda_without_a_gpu_is_refused_and_auto_takes_the_cpu() -> None:
    """Never a silent fall back to the CPU."""
    with pytest.raises(DeviceError, match=r"Device cuda is not usable: .*ASSAY_DEVICE=cpu\.$"):
        ModelSession(BUNDLE, "cuda")
    assert ModelSession(BUNDLE, "auto").provider == "cpu"


def test_a_cuda_that_is_offered_but_does_not_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU build without a GPU: ONNX Runtime then makes a CPU session without an error."""
    offer_cuda(monkeypatch)
    real = onnxruntime.InferenceSession

    def falls_back(model: bytes, options: object, providers: object, **_: object) -> onnxruntime.InferenceSession:
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    with pytest.raises(DeviceError, match="could not start CUDA"):
        create_session(BUNDLE.model, "cuda")
    assert create_session(BUNDLE.model, "auto")[1] == "cpu"


def test_a_card_that_is_not_there_is_told_in_a_sentence_and_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CUDA's libraries without a card: ONNX Runtime then raises, with a trace that names the host."""
    offer_cuda(monkeypatch)
    real = onnxruntime.InferenceSession

    def fails(model: bytes, options: object, providers: list[object], **more: Any) -> onnxruntime.InferenceSession:
        if len(providers) > 1:
            raise RuntimeError(
                "/src/cuda_call.cc:154 void CudaCall() [with T = void] CUDA failure 100: no CUDA-capable device is "
                "detected ; GPU=-1 ; hostname=bank-7 ; expr=cudaSetDevice(info_.device_id); \n\n"
            )
        return real(model, options, providers=providers, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    with pytest.raises(DeviceError, match=r"CUDA failure 100: no CUDA-capable device is detected; or set") as told:
        ModelSession(BUNDLE, "cuda")
    assert "bank-7" not in str(told.value)
    assert ModelSession(BUNDLE, "auto").provider == "cpu"
    assert capsys.readouterr().out == ""


def test_a_session_that_fails_raises_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The library's own fallback would tell the standard output of it."""
    with pytest.raises(Exception, match="protobuf"):
        open_session(b"no graph", ["CPUExecutionProvider"])
    with pytest.warns(UserWarning, match="not a provider"), pytest.raises(Exception, match="not a provider"):
        open_session(BUNDLE.model, ["not a provider"])
    assert capsys.readouterr().out == ""


def test_a_session_knows_how_many_rows_are_quick(session: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred rows of the committed bundle take well below a millisecond; of a slow model none may hold up a loop."""
    assert session.quick_rows_max >= 16
    monkeypatch.setattr(ModelSession, "_on_cpu", lambda _, matrix: time.sleep(0.3))
    assert ModelSession(BUNDLE, "cpu").quick_rows_max == 0


def test_a_gpu_that_fails_at_its_first_batches_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory left on the card, say: one sentence."""
    real = module.create_session

    def pretends(model: bytes, device: Any) -> Any:
        return real(model, "cpu")[0], "cpu" if device == "cpu" else "cuda"

    def fails(*_: object) -> None:
        raise RuntimeError("/src/x.cc:1 trace CUDA failure 2: out of memory ; GPU=0 ; hostname=bank-7 ;")

    monkeypatch.setattr(module, "create_session", pretends)
    monkeypatch.setattr(module, "BoundGraph", fails)
    with pytest.raises(
        DeviceError, match=r"first batches: CUDA failure 2: out of memory\. Is its memory free\? Or set"
    ):
        ModelSession(BUNDLE, "cuda")


class _Threads:
    """A bound graph that tells which thread ran it."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def run(self, matrix: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self.seen.add(threading.get_ident())
        return [matrix[:, 0]] * 3


def test_the_gpu_is_run_from_one_thread_whoever_asks(session: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A captured graph belongs to the thread that captured it. More rows than the largest bucket come in slices."""
    graph = _Threads()
    monkeypatch.setattr(session, "_gpu", OnGpu(cast("BoundGraph", graph)))
    matrix = rows(SLICE_ROWS["cuda"] + 1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: session.run(matrix).probability, range(16)))
    assert len(graph.seen) == 1
    assert {column.tobytes() for column in found} == {matrix[:, 0].tobytes()}
