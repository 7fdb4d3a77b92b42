"""Training the credit bundle: repeatable, exactly the reference network, no one decided about by a protected ground."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle.load import Bundle, load_bundle
from models.features.spec_file import load_spec, parse_spec
from models.files.applications import Applications, read
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from models.simulation.applications import drawn
from models.training.credit.metrics import calibration_error, credit_metrics, kolmogorov_smirnov
from models.training.credit.train import (
    PUBLIC_CARD,
    CreditSettings,
    CreditSource,
    chosen_names,
    credit_thresholds,
    network,
    restored,
    train_credit,
)
from models.training.data import TrainingError
from models.training.thresholds import AlertBudget, CostMatrix, PrecisionFloor
from schemas.manifest import Thresholds

pytestmark = pytest.mark.train

SPEC = load_spec(Path("deploy/features/credit-taiwan.yaml"))
SOURCE = CreditSource("Simulated.", PUBLIC_CARD, 1_700_000_000_000)
SMALL = CreditSettings(spec=SPEC, seed=5, version=3, **network("reference", epochs=4), accepted=("logistic",))
COMMITTED = load_bundle(Path("deploy/bundles/credit"))


def simulated(count: int = 3_000) -> Applications:
    """Applications of our own."""
    batch = drawn(count, seed=2, start_ms=0)
    return Applications(batch.rows(), batch.defaulted)


def train(settings: CreditSettings, path: Path) -> Bundle:
    """Train into `path` and load what was packed."""
    train_credit(settings, simulated(), SOURCE, path)
    return load_bundle(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of simulated applications."""
    return train(SMALL, tmp_path_factory.mktemp("small") / "bundle")


def test_the_same_settings_give_the_same_digest_and_can_be_restored(small: Bundle, tmp_path: Path) -> None:
    """Nothing in a bundle comes from a clock or an unseeded draw; another seed gives another."""
    assert train(SMALL, tmp_path / "again").digest == small.digest
    assert train(replace(SMALL, seed=6), tmp_path / "other").digest != small.digest
    assert restored(small.manifest) == SMALL


def test_a_short_training_learns_what_the_simulation_holds(small: Bundle) -> None:
    """Better than chance, calibrated, and every outcome happens."""
    metrics = small.manifest.metrics
    assert metrics["roc_auc"] > 0.7
    assert metrics["calibration_error"] < 0.08
    assert metrics["default_share_of_approved"] < metrics["default_share"] < metrics["precision_declined"]
    shares = [metrics[f"{outcome}_share"] for outcome in ("approved", "declined", "referred")]
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0.0


def test_the_reasons_background_are_approved_applicants_who_repaid(small: Bundle) -> None:
    """What the model itself says of them."""
    rows = np.array(small.reference.background, np.float32)
    scores, thresholds = ModelSession(small, "cpu").run(rows), small.manifest.thresholds
    assert len(rows) == 16
    assert np.all(scores.probability < np.float32(thresholds.probability))
    assert np.all(scores.anomaly_percentile < np.float32(thresholds.anomaly_percentile))


def test_the_committed_bundle_is_the_reference_network_on_real_applications() -> None:
    """8 -> 10 ReLU -> 1 sigmoid; its licence names the data's."""
    manifest = COMMITTED.manifest
    settings = restored(manifest)
    assert settings.classifier == network("reference")["classifier"]
    assert (len(manifest.feature_spec.names), settings.classifier.hidden) == (8, (10,))
    assert manifest.feature_spec == SPEC
    assert "CC BY 4.0" in manifest.licence
    assert manifest.metrics["roc_auc"] > 0.75


def test_a_spec_with_a_protected_ground_or_another_number_of_inputs_is_refused(tmp_path: Path) -> None:
    """Before anything is trained."""
    everything = load_spec(Path("deploy/features/credit-taiwan-all.yaml"))
    with pytest.raises(TrainingError, match="age, marriage, sex must not decide on credit"):
        train_credit(replace(SMALL, spec=everything), simulated(), SOURCE, tmp_path / "bundle")
    one = parse_spec("{version: 1, features: [{name: limit, kind: number, attribute: LIMIT_BAL}]}")
    with pytest.raises(TrainingError, match="reads 8 inputs, the feature spec has 1"):
        train_credit(replace(SMALL, spec=one), simulated(), SOURCE, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_applications_that_the_spec_refuses_are_counted_and_too_few_are_refused(tmp_path: Path) -> None:
    """The sentence quotes the first refusal."""
    batch = simulated(200)
    spoiled = [{**row, "LIMIT_BAL": None} for row in batch.attributes]
    with pytest.raises(TrainingError, match="200 were refused: attribute LIMIT_BAL is missing"):
        train_credit(SMALL, Applications(spoiled, batch.defaulted), SOURCE, tmp_path / "bundle")


def test_a_bundle_below_a_constant_or_far_below_a_logistic_regression_is_not_written(tmp_path: Path) -> None:
    """A network that never took a step, on the same eight inputs."""
    untrained = replace(SMALL, classifier=replace(SMALL.classifier, learning_rate=0.0), accepted=())
    with pytest.raises(TrainingError, match=r"logistic regression on the same inputs.*--accept .*logistic\.$"):
        train_credit(untrained, simulated(), SOURCE, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


RANDOM = np.random.default_rng(1)
PROBABILITY = RANDOM.random(5_000).astype(np.float32)
TRUTH = RANDOM.random(5_000) < PROBABILITY
SCORES = Scores(PROBABILITY, PROBABILITY, 100.0 * RANDOM.random(5_000).astype(np.float32))


def test_the_cost_matrix_puts_the_threshold_where_a_calibrated_probability_pays() -> None:
    """German credit's 5 to 1: decline from 1/6 on."""
    chosen = credit_thresholds(SCORES, TRUTH, replace(SMALL, objective=CostMatrix(5.0, 1.0)))
    assert chosen.probability == pytest.approx(1 / 6, abs=0.05)
    assert "a default granted at 5, a good applicant declined at 1" in chosen.objective


def test_a_floor_and_a_budget_are_kept_and_the_unusual_of_the_rest_referred() -> None:
    """On the rows that they were chosen on."""
    floor = credit_thresholds(SCORES, TRUTH, replace(SMALL, objective=PrecisionFloor(0.8)))
    assert TRUTH[np.float32(floor.probability) <= PROBABILITY].mean() >= 0.8
    budget = credit_thresholds(SCORES, TRUTH, replace(SMALL, objective=AlertBudget(0.1), refer_share=0.05))
    declined = np.float32(budget.probability) <= PROBABILITY
    assert declined.mean() <= 0.1
    referred = SCORES.anomaly_percentile[~declined] >= np.float32(budget.anomaly_percentile)
    assert referred.mean() == pytest.approx(0.05, abs=0.001)


def test_the_figures_of_a_perfectly_calibrated_model_are_what_they_should_be() -> None:
    """Known values of probabilities drawn evenly."""
    assert calibration_error(TRUTH, PROBABILITY) < 0.03
    assert kolmogorov_smirnov(TRUTH, PROBABILITY) == pytest.approx(0.5, abs=0.05)
    figures = credit_metrics(TRUTH, SCORES, Thresholds(probability=0.5, anomaly_percentile=100.0, objective=""))
    assert figures["roc_auc"] == pytest.approx(5 / 6, abs=0.02)
    assert figures["precision_declined"] == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(("name", "file"), [("german", "german_credit.csv"), ("taiwan", "taiwan_default_train.csv.gz")])
def test_the_committed_specs_hold_the_eight_that_the_choice_takes(name: str, file: str) -> None:
    """Reproducible from the data, on the training part alone."""
    directory = os.environ.get("ASSAY_DATA_DIR")
    if directory is None:
        pytest.skip(
            "set ASSAY_DATA_DIR to the folder that holds credit/german_credit.csv and the Taiwan file to run this"
        )
    candidates = load_spec(Path(f"deploy/features/credit-{name}-all.yaml"))
    applications = read(Path(directory) / "credit" / file, {}, candidates, "default")
    chosen = chosen_names(candidates, applications, 8, seed=1)
    assert [*load_spec(Path(f"deploy/features/credit-{name}.yaml")).names] == chosen
