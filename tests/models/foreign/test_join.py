"""Models of other libraries in our graph: what they say there is what their own library says."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.bundle.graph import check_graph
from models.bundle.load import Bundle, load_bundle
from models.foreign.join import joined
from models.foreign.reading import ForeignModelError, answers_of, original, read_model
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from tests.models.foreign.making import MODELS, held_out, model, spec

F = len(spec().names)
TOLERANCE = {"lightgbm": 2e-6, "gradient boosting": 2e-6, "logistic regression": 2e-6, "calibrated": 2e-6}
"""These compute in double; the others agree to 1e-6."""


def graph_of(content: bytes, positive: str | None = None) -> bytes:
    """As `build_bundle` makes it, checked as a scorer does."""
    graph, _ = joined(read_model(content, F), F, positive)
    return check_graph(graph, F)


def session_of(graph: bytes) -> ModelSession:
    """The committed bundle with another graph."""
    committed = load_bundle(Path("deploy/bundles/fraud"))
    return ModelSession(Bundle(committed.manifest, graph, committed.reference, ""), "cpu")


@pytest.mark.parametrize("kind", MODELS)
def test_a_bundle_says_what_the_models_own_library_says_in_any_batch(kind: str) -> None:
    """Row by row within the tolerance that is stated, and the same bits however the rows are cut."""
    made = model(kind)
    session = session_of(graph_of(made.onnx, "1" if kind == "softmax of pytorch" else None))
    rows = held_out().features[:2050]
    whole = session.run(rows)
    assert np.abs(whole.probability - made.probability(rows)).max() <= TOLERANCE.get(kind, 1e-6)
    assert len(np.unique(whole.probability)) > 10
    for size in (1, 7, 16, 256, 1000, 1025):
        parts = [session.run(rows[start : start + size]) for start in range(0, len(rows), size)]
        for name in Scores._fields:
            assert np.concatenate([getattr(p, name) for p in parts]).tobytes() == getattr(whole, name).tobytes()


def test_catboosts_own_export_says_what_catboost_says() -> None:
    """A file of CatBoost 1.2.10 (8 trees, `save_model(format="onnx")`) and what its `predict_proba` said of 64 rows.

    The library itself is not installed for the tests: it needs six others.
    """
    here = Path(__file__).parent
    rows = np.random.default_rng(1).gamma(1.0, 50.0, size=(2000, F)).astype(np.float32)[:64]
    said = np.array(json.loads((here / "catboost.json").read_text()))
    found = session_of(graph_of((here / "catboost.onnx").read_bytes())).run(rows).probability
    assert np.abs(found - said).max() <= 1e-6
    assert np.ptp(said) > 0.9


def test_without_an_autoencoder_nothing_is_unusual() -> None:
    """The anomaly's outputs are 0 for every row, however far out."""
    session = session_of(graph_of(model("xgboost").onnx))
    rows = np.concatenate(
        [held_out().features[:64], np.full((2, F), 3e38, np.float32), np.full((2, F), -3e38, np.float32)]
    )
    scores = session.run(rows)
    assert not scores.reconstruction_error.any()
    assert not scores.anomaly_percentile.any()
    assert not session.feature_errors(rows).any()
    assert ((scores.probability >= 0) & (scores.probability <= 1)).all()


def test_trees_run_on_the_cpu_where_a_gpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime has no trees for CUDA: auto takes the CPU without a try, and cuda is refused."""
    from models.scoring import session as module
    from models.scoring.devices import DeviceError

    asked = []
    real = module.create_session
    monkeypatch.setattr(module, "create_session", lambda content, device: asked.append(device) or real(content, "cpu"))
    committed = load_bundle(Path("deploy/bundles/fraud"))
    bundle = Bundle(committed.manifest, graph_of(model("xgboost").onnx), committed.reference, "")
    assert ModelSession(bundle, "auto").provider == "cpu"
    assert asked == ["cpu"]
    with pytest.raises(DeviceError, match="has trees, which ONNX Runtime computes on the CPU alone"):
        ModelSession(bundle, "cuda")
    ModelSession(committed, "auto")
    assert asked == ["cpu", "auto", "cpu"]


def edited(kind: str, edit: Callable[[onnx.ModelProto], object]) -> bytes:
    """One of the models after an edit."""
    proto = onnx.load_from_string(model(kind).onnx)
    edit(proto)
    content: bytes = proto.SerializeToString()
    return content


def trees(proto: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    """A list of the model's trees."""
    return next(a for node in proto.graph.node for a in node.attribute if a.name == name)


def two_inputs(proto: onnx.ModelProto) -> None:
    """A second input that is read."""
    proto.graph.input.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [None, 3]))


def external(proto: onnx.ModelProto) -> None:
    """A weight in another file."""
    weight = proto.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")


def unknown_operator(proto: onnx.ModelProto) -> None:
    """An operator that no bundle has, before the trees."""
    entry = proto.graph.input[0].name
    proto.graph.node[0].input[0] = "turned"
    proto.graph.node.insert(0, helper.make_node("Sin", [entry], ["turned"]))
    proto.opset_import.append(helper.make_opsetid("", 13))


def three_classes(proto: onnx.ModelProto) -> None:
    """One more label."""
    trees(proto, "classlabels_int64s").ints.append(2)


def words_for_classes(proto: onnx.ModelProto) -> None:
    """Labels of which none is clearly the fraud."""
    for node in proto.graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name != "classlabels_int64s"]
        if len(kept) < len(node.attribute):
            node.ClearField("attribute")
            node.attribute.extend([*kept, helper.make_attribute("classlabels_strings", ["good", "bad"])])


@pytest.mark.parametrize(
    ("kind", "edit", "because"),
    [
        (
            "xgboost",
            lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 9),
            "has 9 columns, and",
        ),
        (
            "xgboost",
            lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 11),
            "is of float64, and features are",
        ),
        ("xgboost", two_inputs, r"has 2 inputs \(input, second\), and one is needed"),
        ("xgboost", unknown_operator, "operator Sin is not one of those"),
        ("xgboost", three_classes, "tells 3 classes apart, and a bundle two"),
        ("random forest", words_for_classes, "calls its classes good and bad: say with --positive bad"),
        ("softmax of pytorch", lambda _: None, "does not name its two classes: say with --positive 1"),
        ("network of pytorch", external, "lies in another file"),
        ("xgboost", lambda m: m.functions.add(name="f", domain="d"), "has functions, training steps"),
        ("xgboost", lambda m: m.ClearField("graph"), "holds no ONNX graph"),
        ("xgboost", lambda m: trees(m, "nodes_values").floats.pop(), "lists that do not fit"),
        ("xgboost", lambda m: trees(m, "nodes_truenodeids").ints.__setitem__(0, 0), "a cycle"),
        ("xgboost", lambda m: trees(m, "class_nodeids").ints.__setitem__(0, 99), "weigh nodes that there are not"),
        ("xgboost", lambda m: trees(m, "nodes_modes").strings.__setitem__(0, b"BRANCH_EQ"), "compare by BRANCH_EQ"),
        ("xgboost", lambda m: trees(m, "class_weights").floats.__setitem__(0, float("nan")), "no finite number"),
        ("xgboost", lambda m: trees(m, "nodes_featureids").ints.__setitem__(0, 99), "a column beyond the"),
    ],
)
def test_a_model_that_cannot_be_taken_is_refused_in_a_sentence(
    kind: str, edit: Callable[[onnx.ModelProto], object], because: str
) -> None:
    """One edit at a time of a good model; whatever says no, it is an error with a sentence."""
    with pytest.raises(ValueError, match=because) as refused:
        graph_of(edited(kind, edit))
    assert type(refused.value).__module__.startswith("models.")


def test_a_spoiled_model_is_taken_or_refused_in_a_sentence() -> None:
    """Bytes of good models changed, cut and put in: never another error, and nothing that was not looked at is run."""
    draw = random.Random(5)
    files = [model(kind).onnx for kind in ("xgboost", "logistic regression", "calibrated", "network of pytorch")]
    taken = 0
    for _ in range(200):
        content = bytearray(draw.choice(files))
        for _ in range(draw.randint(1, 2)):
            at = draw.randrange(len(content))
            content[at : at + draw.randint(0, 2)] = draw.randbytes(draw.randint(0, 2))
        try:
            foreign = read_model(bytes(content), F)
            joined(foreign, F)
            answers_of(original(foreign), held_out().features[:16])
            taken += 1
        except ForeignModelError:
            continue
    assert 0 < taken < 200


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"no model", b"\xff" * 64])
def test_a_file_that_is_no_model_is_refused(content: bytes) -> None:
    """Noise, and nothing."""
    with pytest.raises(ForeignModelError, match=r"not an ONNX model|holds no ONNX graph"):
        read_model(content, F)


def test_the_class_that_is_asked_for_is_the_one_that_is_scored() -> None:
    """--positive 0 of a model whose fraud is class 0; a class that there is not is refused."""
    content, rows = model("xgboost").onnx, held_out().features[:256]
    one, zero = (session_of(graph_of(content, positive)).run(rows).probability for positive in ("1", "0"))
    assert np.allclose(one + zero, 1.0, atol=1e-6)
    with pytest.raises(ForeignModelError, match=r"--positive 2 is none of the model's classes: 0 and 1\."):
        graph_of(content, "2")
