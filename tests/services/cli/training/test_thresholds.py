"""`assay bundle thresholds`: a next version with thresholds and a report of its own; an edited manifest is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle.files import HELD_OUT, MANIFEST, REPORT, BundleError
from models.bundle.load import Bundle, load_bundle
from models.bundle.pack import with_manifest, write_files
from models.bundle.verdict import check_release, objections, report_mark
from models.training.data import Cuts
from models.training.fraud.evaluation import evaluate
from models.training.fraud.held_out import restored
from models.training.fraud.requests import Names, fraud_settings
from models.training.fraud.train import train_fraud
from models.training.thresholds import AlertsPerDay, ObjectiveError, RecallFloor, choose_thresholds, parse_objective
from schemas.manifest import Thresholds
from tests.services.cli.test_app import run_main

pytestmark = pytest.mark.train

SIGNING = ["--accept=chance", "--accept=constant", "--accept=logistic"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle of simulated payments."""
    out = tmp_path_factory.mktemp("trained") / "one"
    settings = fraud_settings(
        Path("deploy/features/fraud.yaml"),
        Names("wide", "reference", "platt", "budget:0.01"),
        cuts=Cuts(validation_days=5, delay_days=3, test_days=4),
        epochs=2,
        numbers={"days": 26, "customers": 200},
        version=1,
        compared=False,
        gan=False,
    )
    settings = replace(settings, accepted=("constant", "logistic"))  # two epochs on 200 cards
    train_fraud(settings, out)
    return out


def measured(bundle: Bundle) -> dict[str, float]:
    """What the bundle's test rows say of its thresholds, counted again."""
    assert bundle.held_out is not None
    _, (test, scores) = restored(bundle.held_out)
    return evaluate(test, scores, bundle.manifest.thresholds)


def test_the_trainers_own_figures_come_back_from_the_scores_that_a_bundle_carries(trained: Path) -> None:
    """So figures of other thresholds are of the same rows; nothing in the file names a card or a payment."""
    bundle = load_bundle(trained)
    again = measured(bundle)
    assert again == {name: bundle.manifest.metrics[name] for name in again}
    assert set(json.loads(bundle.held_out or b"")["test"]) == {
        *("rows", "probability", "reconstruction_error", "anomaly_percentile"),
        *("is_fraud", "scenario", "day", "card", "amount"),
    }


@pytest.mark.parametrize("asked", ["alerts:3", "budget:0.02", "recall:0.5", "cost:FN=20,FP=1"])
def test_a_target_gives_a_next_version_with_a_report_of_its_own(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """It can be signed, since figures and report are its own; the old version is as it was."""
    before = load_bundle(trained)
    out = tmp_path / "two"
    assert run_main(monkeypatch, "bundle", "thresholds", str(trained), f"--out={out}", f"--objective={asked}") == 0
    made = load_bundle(out)
    assert (made.manifest.version, made.signed_by) == (2, None)
    assert made.manifest.thresholds != before.manifest.thresholds
    again = measured(made)
    assert again == {name: made.manifest.metrics[name] for name in again}
    assert [objection.fault for objection in objections(made) if objection.fault in ("figures", "report")] == []
    page = (made.report or b"").decode()
    assert report_mark(made.manifest.statement or "") in page
    assert f"probability {made.manifest.thresholds.probability:.4f} on" in page
    assert "Measured with version 1" in page
    ids = re.compile(r'<section id="(\w+)" aria')
    assert ids.findall(page) == ids.findall((before.report or b"").decode())
    assert "amount of frauds caught" in page
    assert made.manifest.evaluation is not None
    alerts = sum(day.figures["alerts"] for day in made.manifest.evaluation.by_day)
    assert alerts == pytest.approx(again["alert_share_combined"] * made.manifest.training.test_records)
    assert load_bundle(trained).digest == before.digest
    assert run_main(monkeypatch, "bundle", "keygen", str(tmp_path / "k")) == 0
    assert run_main(monkeypatch, "bundle", "sign", str(out), f"--key={tmp_path / 'k.key'}", *SIGNING) == 0


def test_numbers_are_taken_as_given_and_a_version_can_follow_a_version(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not given stays."""
    command = ["bundle", "thresholds", str(trained), f"--out={tmp_path / 'two'}", "--probability=0.25", "--version=7"]
    assert run_main(monkeypatch, *command) == 0
    two = load_bundle(tmp_path / "two").manifest
    assert (two.version, two.thresholds.probability) == (7, 0.25)
    assert two.thresholds.anomaly_percentile == load_bundle(trained).manifest.thresholds.anomaly_percentile
    command = ["bundle", "thresholds", str(tmp_path / "two"), f"--out={tmp_path / 'three'}", "--objective=alerts:5"]
    assert run_main(monkeypatch, *command) == 0
    assert load_bundle(tmp_path / "three").manifest.version == 8


def test_a_manifest_that_was_edited_by_hand_is_neither_signed_nor_measured(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the command that does it; other scores than the trainer's are refused too."""
    bundle = load_bundle(trained)
    files = {file.name: file.read_bytes() for file in trained.iterdir()}
    edited = bundle.manifest.model_copy(
        update={"thresholds": bundle.manifest.thresholds.model_copy(update={"probability": 0.9})}
    )
    write_files(tmp_path / "edited", with_manifest(files, edited))
    with pytest.raises(BundleError, match="were changed after they were measured: `assay bundle thresholds` makes"):
        check_release(load_bundle(tmp_path / "edited"), ())
    command = ["bundle", "thresholds", str(tmp_path / "edited"), f"--out={tmp_path / 'x'}", "--objective=alerts:5"]
    assert run_main(monkeypatch, *command) == 2
    assert capsys.readouterr().err == (
        "assay: fraud/1 was changed after it was measured: give the bundle as the trainer, or this command, wrote it.\n"
    )
    forged = {**files, HELD_OUT: files[HELD_OUT].replace(b"\n", b" \n")}
    write_files(tmp_path / "forged", with_manifest(forged, bundle.manifest))
    command[2] = str(tmp_path / "forged")
    assert run_main(monkeypatch, *command) == 2
    assert "was changed after it was measured" in capsys.readouterr().err
    swapped = {**files, REPORT: files[REPORT].replace((bundle.manifest.statement or "").encode(), b"0" * 64)}
    write_files(tmp_path / "swapped", with_manifest(swapped, bundle.manifest))
    with pytest.raises(BundleError, match=r"its report.html is of another bundle than its manifest"):
        check_release(load_bundle(tmp_path / "swapped"), ("chance", "constant"))
    assert (trained / MANIFEST).read_bytes() == files[MANIFEST]


@pytest.mark.parametrize(
    ("bundle", "options", "sentence"),
    [
        ("tests/histories/0.1/bundle", ["--probability=0.5"],
         "assay: fraud/1 carries no scores that new thresholds could be measured on (it was trained earlier, or its cuts are "
         "too long to carry): train it again with `assay train fraud --objective ...`.\n"),
        ("deploy/bundles/credit", ["--probability=0.5"],
         "assay: credit/1 is a credit bundle, whose reference is of the applicants that its thresholds approve: train it again "
         "with `assay train credit --objective ...`.\n"),
        ("deploy/bundles/fraud", [],
         "assay: Give either --objective, or --probability and --anomaly-percentile, or one of these two.\n"),
        ("deploy/bundles/fraud", ["--objective=alerts:0"],
         "assay: 0.0 alerts a day are no budget: write for example alerts:20.\n"),
        ("deploy/bundles/fraud", ["--objective=alerts:5", "--version=1"],
         "assay: --version 1 is not above 1, the bundle's own: give a higher one.\n"),
        ("nowhere", ["--objective=alerts:5"], "assay: Bundle nowhere cannot be read: No such file or directory.\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(
    bundle: str,
    options: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its whole text; nothing is written."""
    assert run_main(monkeypatch, "bundle", "thresholds", bundle, f"--out={tmp_path / 'x'}", *options) == 2
    assert capsys.readouterr().err == sentence
    assert not (tmp_path / "x").exists()


def test_nothing_that_is_there_is_written_over(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The old version least of all: it is the way back."""
    command = ["bundle", "thresholds", str(trained), "--objective=alerts:5"]
    assert run_main(monkeypatch, *command, f"--out={trained}") == 2
    assert "is the bundle itself, which is the way back" in capsys.readouterr().err
    assert run_main(monkeypatch, *command, f"--out={tmp_path}") == 2
    assert "is there already: name a directory that is not" in capsys.readouterr().err


def test_alerts_a_day_and_a_recall_are_met_on_the_rows_that_they_are_chosen_on() -> None:
    """At most so many, and at least so much; without days, or without a fraud, a sentence."""
    draw = np.random.default_rng(1)
    score = draw.random(1000, dtype=np.float32)
    truth = draw.random(1000) < score / 10
    percentile = (100 * draw.random(1000)).astype(np.float32)

    def chosen(objective: AlertsPerDay | RecallFloor, days: int | None = 10) -> Thresholds:
        return choose_thresholds(score, percentile, objective, truth, days)

    found = chosen(AlertsPerDay(5))
    alerts = (score >= found.probability) | (percentile >= found.anomaly_percentile)
    assert 45 <= alerts.sum() <= 50
    found = chosen(RecallFloor(0.8))
    assert (truth & (score >= found.probability)).sum() >= 0.8 * truth.sum()
    assert (truth & (score > found.probability)).sum() < 0.8 * truth.sum()
    with pytest.raises(ObjectiveError, match="Alerts a day need rows with days"):
        chosen(AlertsPerDay(5), None)
    with pytest.raises(ObjectiveError, match="no fraud on validation"):
        choose_thresholds(score, percentile, RecallFloor(0.5), np.zeros(1000, np.bool_))
    assert parse_objective("recall:0.8") == RecallFloor(0.8)
    assert parse_objective("alerts:20") == AlertsPerDay(20.0)
