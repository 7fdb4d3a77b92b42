"""`assay bundle build`: somebody's model, from its file to a bundle that a scorer takes; and what it says no to."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.bundle.load import load_bundle
from models.foreign import operators
from models.foreign.new_graph import Joining
from models.scoring.session import ModelSession
from models.scoring.shapley import explain
from tests.deploy.typed import typed
from tests.models.foreign.making import held_out, model, spec, write_reference
from tests.services.cli.test_app import run_main

SPEC = Path("deploy/features/fraud.yaml").resolve()
PAGE = Path("docs/models.md").resolve()
STREAM = Path("docs/examples/tutorial/stream.py").resolve()
PAGE_S_MAX, LIVE_PAYMENTS = 300.0, 2 * 1200
COMMITTED = Path("deploy/bundles/fraud").resolve()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an XGBoost model and reference data."""
    path = tmp_path_factory.mktemp("build")
    (path / "model.onnx").write_bytes(model("xgboost").onnx)
    write_reference(path / "rows.parquet", expected=model("xgboost").probability(held_out().features))
    return path


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As the current directory."""
    monkeypatch.chdir(place)
    yield place
    shutil.rmtree(place / "bundle", ignore_errors=True)


def build(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """Exit status of a build of the model with the rows, options last."""
    given = ["model.onnx", "--features", str(SPEC), "--reference", "rows.parquet", "--out", "bundle", *options]
    return run_main(monkeypatch, "bundle", "build", *given)


@pytest.mark.slow
def test_the_example_of_the_page_runs_and_its_bundle_scores_payments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/models.md as it stands, in the tutorial's folder; then `assay batch` scores the tutorial's stream with it."""
    monkeypatch.chdir(tmp_path)
    for name, days, seed in (("history", 24, 1), ("live", 2, 2)):
        options = [f"{name}.jsonl", "--days", str(days), "--seed", str(seed)]
        subprocess.run([sys.executable, str(STREAM), *options], check=True)
    given = ["--from", "history.jsonl", "--topic", "wallet.payments"]
    assert run_main(monkeypatch, "init", "shop", *given) == 0, capsys.readouterr().err
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    shop = tmp_path / "shop"
    (shop / "own.py").write_text(program)
    typed(PAGE, shop, "127.0.0.1:1", PAGE_S_MAX)
    bundle = load_bundle(shop / "own")
    assert bundle.manifest.score_kinds == ("classifier",)
    assert bundle.manifest.metrics["roc_auc"] > 0.9
    assert not [name for name in bundle.manifest.metrics if "anomaly" in name or "reconstruction" in name]
    assert b"autoencoder" not in (bundle.report or b"")
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", str(shop / "own.pub"))
    assert run_main(monkeypatch, "batch", "live.jsonl", "scores.parquet", "--bundle", "shop/own") == 0
    scores = pl.read_parquet("scores.parquet")
    assert len(scores) == LIVE_PAYMENTS
    assert scores["probability"].is_between(0.0, 1.0).all()
    assert (scores["anomaly_percentile"] == 0.0).all()
    monkeypatch.setenv("ASSAY_REGISTRY_URL", (tmp_path / "registry").as_uri())
    assert run_main(monkeypatch, "registry", "publish", "shop/own") == 0
    rows = pl.read_parquet(shop / "held-out.parquet")
    names = bundle.manifest.feature_spec.names
    features = rows.select(names).to_numpy().astype(np.float32)
    _reasons_add_up(ModelSession(bundle, "cpu"), np.ascontiguousarray(features), set(names))


def _reasons_add_up(session: ModelSession, rows: NDArray[np.float32], names: set[str]) -> None:
    """Shapley values of any model: named features, and never of a score that it has not."""
    strongest = rows[np.argsort(-session.run(rows).probability)[:5]]
    for reasons in explain(session, np.ascontiguousarray(strongest), [("probability",)] * 5):
        assert {reason.score for reason in reasons} == {"probability"}
        assert {reason.feature for reason in reasons} <= names


def test_the_same_build_gives_the_same_bundle(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte: nothing of it depends on the clock."""
    contents = []
    for _ in range(2):
        assert build(monkeypatch, "--expected", "expected", "--objective", "cost:FN=100,FP=1") == 0
        contents.append({file.name: file.read_bytes() for file in sorted((here / "bundle").iterdir())})
    assert contents[0] == contents[1]
    manifest = json.loads(contents[0]["manifest.json"])
    assert manifest["thresholds"]["anomaly_percentile"] == 100.0
    assert "first half of the reference data" in manifest["thresholds"]["objective"]
    assert manifest["training"]["settings"]["compared_with"] == "expected"


def test_the_anomaly_score_of_another_bundle_is_taken_bit_for_bit(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The probability of the one and the anomaly of the other, with a threshold for each; only of the same features."""
    assert build(monkeypatch) == 0
    alone = ModelSession(load_bundle(here / "bundle"), "cpu")
    assert build(monkeypatch, "--anomaly-from", "bundle") == 2
    assert "fraud/1 has no anomaly score to take" in capsys.readouterr().err
    assert build(monkeypatch, "--anomaly-from", str(COMMITTED), "--objective", "budget:0.02") == 0
    bundle = load_bundle(here / "bundle")
    assert bundle.manifest.score_kinds == ("classifier", "anomaly")
    assert bundle.manifest.thresholds.anomaly_percentile > 0.0
    assert bundle.manifest.metrics["alert_share_anomaly"] > 0.0
    assert b"reconstruction error" in (bundle.report or b"")
    both, other, rows = ModelSession(bundle, "cpu"), ModelSession(load_bundle(COMMITTED), "cpu"), held_out().features
    found, anomaly = both.run(rows), other.run(rows)
    assert found.probability.tobytes() == alone.run(rows).probability.tobytes()
    assert found.reconstruction_error.tobytes() == anomaly.reconstruction_error.tobytes()
    assert found.anomaly_percentile.tobytes() == anomaly.anomaly_percentile.tobytes()
    assert both.feature_errors(rows[:99]).tobytes() == other.feature_errors(rows[:99]).tobytes()
    (here / "other.yaml").write_text(SPEC.read_text().replace("allowed_lateness: 5m", "allowed_lateness: 6m"))
    assert build(monkeypatch, "--features", "other.yaml", "--anomaly-from", str(COMMITTED)) == 2
    assert "is of other features, or another source spec, than this model" in capsys.readouterr().err


def test_other_thresholds_of_such_a_bundle_are_the_classifiers_alone(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A budget that elsewhere gives the anomaly score its part never makes a percentile of 0 alert."""
    assert build(monkeypatch) == 0
    given = ["bundle", "thresholds", "bundle", "--out", "next"]
    assert run_main(monkeypatch, *given, "--anomaly-percentile", "0") == 2
    assert "has no anomaly score: give --probability alone" in capsys.readouterr().err
    assert run_main(monkeypatch, *given, "--objective", "budget:0.02") == 0
    manifest = load_bundle(here / "next").manifest
    assert manifest.thresholds.anomaly_percentile == 100.0
    assert manifest.metrics["alert_share_combined"] == manifest.metrics["alert_share_classifier"] < 0.05
    assert (
        manifest.metrics["alert_share_combined"] > load_bundle(here / "bundle").manifest.metrics["alert_share_combined"]
    )
    assert not [name for name in manifest.metrics if "anomaly" in name]
    shutil.rmtree(here / "next")


def changed(path: Path, *expressions: pl.Expr, without: str | None = None) -> str:
    """The rows with other columns, beside them; the file's name."""
    frame = pl.read_parquet(path / "rows.parquet").with_columns(*expressions)
    (frame.drop(without) if without else frame).write_parquet(path / "changed.parquet")
    return "changed.parquet"


ROW = pl.int_range(pl.len())


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        ({"without": "feature_amount"}, [], "has no column for amount: `assay dataset build`"),
        ({"without": "is_fraud"}, [], "has no column is_fraud"),
        ({"expressions": [pl.lit(3).alias("is_fraud")]}, [], "is_fraud holds other values than 0 and 1"),
        ({"expressions": [pl.lit(0).alias("is_fraud")]}, [], "first half of changed.parquet has 0 frauds"),
        (
            {"expressions": [pl.when(ROW == 7).then(None).otherwise("feature_amount").alias("feature_amount")]},
            [],
            "row 8: feature_amount is no number",
        ),
        (
            {"expressions": [pl.when(ROW == 7).then(0.99).otherwise("expected").alias("expected")]},
            ["--expected", "expected"],
            "1 of ",
        ),
        ({}, ["--objective", "most"], "'most' is no objective"),
        ({}, ["--positive", "fraud"], "--positive fraud is none of the model's classes: 0 and 1"),
        ({}, ["--output", "said"], "--output said is none of the model's outputs: label, probabilities"),
        ({}, ["--features", "absent.yaml"], "absent.yaml cannot be read"),
        ({}, ["--features", str(SPEC.with_name("credit-german.yaml"))], "The feature spec is of applications"),
    ],
)
def test_data_and_options_that_do_not_fit_are_refused_in_a_sentence(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    options: list[str],
    sentence: str,
) -> None:
    """Status 2, one line, and no bundle."""
    name = changed(here, *change.get("expressions", ()), without=change.get("without"))
    assert build(monkeypatch, "--reference", name, *options) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (here / "bundle").exists()


def test_logits_are_refused(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A network without its sigmoid answers from far below 0 to far above 1."""
    features = len(spec().names)
    weights = helper.make_tensor(
        "w", TensorProto.FLOAT, [features, 1], np.ones(features, np.float32).tobytes(), raw=True
    )
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["logit"])],
        "logits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n", 1])],
        [weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (here / "logits.onnx").write_bytes(made.SerializeToString())
    given = ["logits.onnx", "--features", str(SPEC), "--reference", "rows.parquet", "--out", "bundle"]
    assert run_main(monkeypatch, "bundle", "build", *given) == 2
    assert "which are no probabilities: end the export with a sigmoid" in capsys.readouterr().err


def test_a_graph_that_says_something_else_than_the_model_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An operator that is written wrongly is found by its answers, on the user's own rows."""

    def wrong(joining: Joining, node: onnx.NodeProto) -> None:
        joining.set(node, joining.node("Relu", [joining.value(node.input[0])]))

    monkeypatch.setitem(operators.WRITERS, ("", "Tanh"), wrong)
    (here / "net.onnx").write_bytes(model("network of pytorch").onnx)
    given = ["net.onnx", "--features", str(SPEC), "--reference", "rows.parquet", "--out", "bundle"]
    assert run_main(monkeypatch, "bundle", "build", *given) == 2
    assert "The bundle's graph and the model differ by" in capsys.readouterr().err
