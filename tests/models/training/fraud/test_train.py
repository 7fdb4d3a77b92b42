"""Training gives a bundle that says what PyTorch says, again and again, as good as what was recorded."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from models.bundle.graph import has_trees
from models.bundle.load import Bundle, load_bundle
from models.bundle.verdict import objections
from models.features.spec_file import load_spec
from models.networks.classifier import Classifier, ClassifierShape, Ensemble
from models.networks.encoding import fit_encoding, fit_standardisation
from models.networks.fused import Calibration, CalibrationCurve, Fused
from models.networks.vae import Vae
from models.scoring.golden import check_golden
from models.scoring.session import ModelSession
from models.training import fit_classifier
from models.training.baselines import BOOK_XGBOOST, ECOD, FOREST, ISOLATION_FOREST, LOGISTIC, XGBOOST
from models.training.checkpoints import checkpoints
from models.training.data import Cuts, TrainingError
from models.training.export import TOLERANCE, ExportError, check_agreement, export, largest_difference
from models.training.fit_classifier import Preset, preset
from models.training.fit_vae import fit_percentiles
from models.training.fraud.tables import ANOMALY, OURS
from models.training.fraud.train import FraudSettings, restored, train_fraud, with_epochs
from models.training.fraud.train import recorded as recorded_settings
from models.training.results.page import HANDBOOK, USES, WEEKS, results_page, write_results
from models.training.results.shortfalls import shortfalls
from models.training.thresholds import AmountCosts, CostMatrix
from schemas.evaluation import Estimate, ModelFigures

pytestmark = pytest.mark.train

COMMITTED = load_bundle(Path("deploy/bundles/fraud"))
SMALL = with_epochs(
    FraudSettings(
        spec=load_spec(Path("deploy/features/fraud.yaml")),
        seed=5,
        version=3,
        customers=300,
        terminals=200,
        days=18,
        cuts=Cuts(validation_days=5, delay_days=3, test_days=4),
        compared=False,
        gan=None,
        accepted=("constant", "logistic"),  # three epochs on a small town
    ),
    3,
)


def train(settings: FraudSettings, path: Path) -> Bundle:
    """Train into `path` and load what was packed."""
    train_fraud(settings, path)
    return load_bundle(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a small simulation."""
    return train(SMALL, tmp_path_factory.mktemp("small") / "bundle")


def test_the_same_settings_give_the_same_digest_and_another_seed_another(small: Bundle, tmp_path: Path) -> None:
    """Nothing in a bundle comes from a clock, a thread or an unseeded draw."""
    assert train(SMALL, tmp_path / "again").digest == small.digest
    assert train(replace(SMALL, seed=6), tmp_path / "other").digest != small.digest


def test_features_on_the_disk_and_inputs_made_batch_by_batch_give_the_same_digest(
    small: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that need not fit into memory trains the bundle of one that does, and leaves nothing on the disk."""
    monkeypatch.setattr(fit_classifier, "ENCODED_BYTES_MAX", 0)
    with checkpoints(tmp_path / "work", resume=False) as found:
        train_fraud(SMALL, tmp_path / "bundle", checkpoints=found)
    assert load_bundle(tmp_path / "bundle").digest == small.digest
    assert not (tmp_path / "work").exists()


def test_the_manifest_records_the_settings_so_that_they_can_be_restored(small: Bundle) -> None:
    """Every setting, for the small bundle, one with every kind of setting, and the committed one."""
    assert restored(small.manifest) == SMALL
    other = replace(SMALL, objective=CostMatrix(50.0, 1.0), classifier=preset("reference"), from_date="2026-01-02")
    recorded = small.manifest.training.model_copy(update={"settings": recorded_settings(other)})
    assert restored(small.manifest.model_copy(update={"training": recorded})) == other
    other = replace(SMALL, objective=AmountCosts(5.0), classifier=preset("ensemble"))
    recorded = small.manifest.training.model_copy(update={"settings": recorded_settings(other)})
    assert restored(small.manifest.model_copy(update={"training": recorded})) == other
    assert restored(COMMITTED.manifest) == FraudSettings(spec=COMMITTED.manifest.feature_spec)


def test_training_reports_its_progress(tmp_path: Path) -> None:
    """Stage, epochs done, epochs at most."""
    seen: list[tuple[str, int, int]] = []
    train_fraud(SMALL, tmp_path / "bundle", lambda stage, done, most: seen.append((stage, done, most)))
    assert {("classifier", 1, 3), ("autoencoder", 3, 3)} <= set(seen)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xgboost", "blend"])
def test_trees_train_a_bundle_on_the_same_cuts_byte_for_byte_again(tmp_path: Path, name: Preset) -> None:
    """Alone and beside the network, with the autoencoder, the report and what was never shown; a scorer's session takes it."""
    settings = replace(SMALL, classifier=replace(preset(name), epochs=2), compared=name == "blend")
    bundle = train(settings, tmp_path / "bundle")
    assert train(settings, tmp_path / "again").digest == bundle.digest
    assert restored(bundle.manifest) == settings
    assert "xgboost" in bundle.manifest.training.libraries
    assert bundle.manifest.has_anomaly
    assert has_trees(bundle.model)
    check_golden(ModelSession(bundle, "cpu"))


def test_an_ensemble_trains_a_bundle_that_a_scorer_takes_and_that_restores(tmp_path: Path) -> None:
    """One graph, without trees; its settings are in the manifest."""
    settings = replace(SMALL, classifier=replace(preset("ensemble"), epochs=2, averaged=True))
    bundle = train(settings, tmp_path / "bundle")
    assert restored(bundle.manifest) == settings
    assert not has_trees(bundle.model)
    check_golden(ModelSession(bundle, "cpu"))


@pytest.mark.slow
def test_training_again_with_the_committed_settings_gives_the_recorded_metrics(tmp_path: Path) -> None:
    """Within 0.03: another processor rounds otherwise, and training amplifies it. On the same one they are equal."""
    settings = replace(restored(COMMITTED.manifest), compared=False)
    if not COMMITTED.manifest.metrics.get("gan_shipped"):
        settings = replace(settings, gan=None)  # what did not ship changes no bit (test_augmentation.py)
    again = train(settings, tmp_path / "again").manifest
    recorded = COMMITTED.manifest
    assert again.training.train_records == recorded.training.train_records
    assert again.training.test_records == recorded.training.test_records
    for name in (
        "roc_auc",
        "average_precision",
        "anomaly_roc_auc",
        "anomaly_average_precision",
        "recall_combined",
        "brier",
    ):
        assert again.metrics[name] == pytest.approx(recorded.metrics[name], abs=0.03), name


def test_the_committed_bundle_finds_what_its_features_can_show() -> None:
    """Large amounts (scenario 1) rank high; of compromised customers (3) most alert, within less than the share of fraud."""
    metrics = COMMITTED.manifest.metrics
    assert metrics["average_precision_scenario_1"] > 0.8
    assert metrics["recall_combined_scenario_3"] > 0.7
    assert metrics["average_precision"] > 20 * metrics["fraud_share"]


def test_the_committed_results_page_is_the_committed_bundles(tmp_path: Path) -> None:
    """Generated, never typed, from the bundle and the figures beside the page."""
    for figures in (page for name in (HANDBOOK, WEEKS, USES) if (page := Path("docs") / name).exists()):
        shutil.copy(figures, tmp_path)
    write_results(tmp_path / "results.md", COMMITTED.manifest)
    assert Path("docs/results.md").read_bytes() == (tmp_path / "results.md").read_bytes()


def test_what_falls_short_of_another_model_stands_before_every_table() -> None:
    """By name, and whether surely: nothing where every difference is above 0, but what falls short on other weeks."""
    evaluation = COMMITTED.manifest.evaluation
    assert evaluation is not None
    ours, anomaly = evaluation.models[:2]

    def page(*rivals: ModelFigures, of_weeks: tuple[str, ...] = ()) -> str:
        compared = evaluation.model_copy(update={"models": (ours, anomaly, *rivals)})
        manifest = COMMITTED.manifest.model_copy(update={"evaluation": compared})
        return "\n".join(shortfalls(manifest, [*of_weeks]))

    def rival(name: str, low: float, value: float, high: float) -> ModelFigures:
        difference = {"average_precision": Estimate(value=value, low=low, high=high)}
        return ModelFigures(
            model=name, figures={"average_precision": Estimate(value=0.9, low=0.8, high=1.0)}, difference=difference
        )

    assert page(rival("worse", -0.1, 0.1, 0.2)) == ""
    assert "worse" not in page(rival("worse", -0.1, 0.1, 0.2), rival("better", -0.3, -0.2, -0.1))
    surely = page(rival("better", -0.3, -0.2, -0.1), rival("perhaps", -0.3, -0.1, 0.1))
    assert "better 0.900: difference -0.200 [-0.300, -0.100].\n" in surely
    assert "perhaps 0.900: difference -0.100 [-0.300, +0.100], not surely.\n" in surely
    assert "- reconstruction error: average precision" in page(rival("odd, unsupervised", -0.3, -0.2, -0.1))
    assert page(of_weeks=("- weeks.",)) == "## What falls short\n\n- weeks.\n"
    whole = results_page(COMMITTED.manifest)
    if "## What falls short" in whole:
        assert whole.index("## What falls short") < whole.index("## Ranking and calibration")


def test_the_committed_bundle_is_above_every_baseline_or_says_so_at_the_top() -> None:
    """In average precision on its own test cut, of each of the two scores."""
    evaluation = COMMITTED.manifest.evaluation
    assert evaluation is not None
    page = results_page(COMMITTED.manifest)
    top = page[: page.index("## Ranking and calibration")]
    below = [m.model for m in evaluation.models if m.difference and m.difference["average_precision"].value < 0.0]
    assert all(f", {name} " in top for name in below)


def test_a_compared_bundle_records_baselines_and_what_was_never_shown(tmp_path: Path) -> None:
    """Every model on the same cut with intervals, every day, and each kind of fraud left out once."""
    evaluation = train(replace(SMALL, compared=True), tmp_path / "bundle").manifest.evaluation
    assert evaluation is not None
    rivals = {LOGISTIC, FOREST, XGBOOST, BOOK_XGBOOST, ISOLATION_FOREST, ECOD}
    assert {OURS, ANOMALY, *rivals} == {model.model for model in evaluation.models}
    assert len(evaluation.by_day) == SMALL.cuts.test_days
    assert {group.name for group in evaluation.unseen} <= {"scenario 2", "scenario 3"}
    assert evaluation.unseen
    for model in evaluation.models:
        precision = model.figures["average_precision"]
        assert precision.low <= precision.value <= precision.high


def test_the_reference_classifier_is_eight_ten_one_and_exports(tmp_path: Path) -> None:
    """By its name, on a spec of more features: eight are chosen, and the graph says what PyTorch says."""
    bundle = train(replace(SMALL, classifier=replace(preset("reference"), epochs=3)), tmp_path / "bundle")
    shapes = {w.name: list(w.dims) for w in onnx.load_from_string(bundle.model).graph.initializer}
    assert (shapes["chosen"], shapes["classifier.0.weight"], shapes["logit.weight"]) == ([8], [8, 10], [10, 1])
    hidden = [shapes[f"{part}.{layer}.weight"] for part in ("encoder", "decoder") for layer in range(3)]
    assert hidden == [[100, 256], [256, 128], [128, 64], [32, 64], [64, 128], [128, 256]]
    assert (shapes["latent.weight"], shapes["reconstruction.logit.weight"]) == ([64, 32], [256, 100])


def test_a_bundle_far_below_a_logistic_regression_is_not_written_unless_that_is_accepted(tmp_path: Path) -> None:
    """A network that never took a step; the sentence names what is wrong and the option."""
    untrained = replace(SMALL, classifier=replace(SMALL.classifier, learning_rate=0.0), accepted=())
    with pytest.raises(
        TrainingError, match=r"logistic regression on the same inputs.* --accept .*logistic\.$"
    ) as refused:
        train_fraud(untrained, tmp_path / "bundle")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "bundle").exists()
    bundle = train(replace(untrained, accepted=("constant", "logistic")), tmp_path / "bundle")
    figures = bundle.manifest.metrics
    assert figures["average_precision"] < figures["logistic_average_precision"]
    assert "logistic" in [objection.fault for objection in objections(bundle)]


def test_too_few_days_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """One sentence, and no bundle."""
    with pytest.raises(TrainingError, match="days at least"):
        train_fraud(replace(SMALL, days=12), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


CALIBRATIONS = {
    "platt": Calibration(1.3, -0.4),
    "isotonic": CalibrationCurve((-6.0, -1.0, -0.95, 0.3, 0.4, 7.0), (0.001, 0.01, 0.3, 0.35, 0.9, 0.99)),
}
"""The isotonic curve is as steep as the fit allows."""


def random_ensemble(shape: ClassifierShape, members: int) -> Ensemble:
    """Every scale and bias off its start, as after a fit."""
    network = Ensemble(shape, members, dropout=0.3)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network


def random_model(
    seed: int, calibration: str = "platt", chosen: tuple[int, ...] = (), members: int = 1
) -> tuple[Fused, NDArray[np.float32]]:
    """A fused model with random weights, and the rows it was fitted on."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    features = random.gamma(1.0, 50.0, size=(2000, 20)).astype(np.float32)
    features[:, 2:4] = features[:, 2:4] > 50
    encoding = fit_encoding(features)
    curve = fit_percentiles(random.gamma(4.0, 0.03, size=5000).astype(np.float32))
    shape = ClassifierShape(8, (10,)) if chosen else ClassifierShape(120, (64, 32))
    classifier = Classifier(shape, dropout=0.3) if members == 1 else random_ensemble(shape, members)
    standardisation = fit_standardisation(features)
    model = Fused(encoding, standardisation, classifier, CALIBRATIONS[calibration], Vae(), curve, chosen)
    return model.eval(), features


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize(
    ("chosen", "members"), [((), 1), ((3, 0, 19, 7, 8, 1, 2, 12), 1), ((), 8)], ids=["all", "eight", "ensemble"]
)
def test_pytorch_and_onnx_agree_to_1e_5_on_random_and_edge_inputs(
    seed: int, calibration: str, chosen: tuple[int, ...], members: int
) -> None:
    """Training rows, zeros, bin edges, negatives, and the largest and smallest numbers there are."""
    model, features = random_model(seed, calibration, chosen, members)
    encode = model.inputs.encode
    edges = np.tile(features[:1], (len(encode.feature), 1))
    edges[np.arange(len(edges)), encode.feature.numpy()] = encode.lower.numpy()
    huge, tiny = np.finfo(np.float32).max / 2, np.finfo(np.float32).tiny
    extremes = [np.full((1, 20), value, np.float32) for value in (0.0, -0.0, 1.0, tiny, huge, -huge)]
    content = export(model, "fraud")
    for rows in (features, -features, edges, *extremes):
        assert largest_difference(model, content, rows) <= TOLERANCE


def test_an_export_that_differs_from_pytorch_is_refused() -> None:
    """The check at the end of training can fail."""
    model, features = random_model(0)
    content = export(model, "fraud")
    with torch.no_grad():
        model.classifier.output.bias += 0.01
    with pytest.raises(ExportError, match="the export is wrong"):
        check_agreement(model, content, features)


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-5, 1e-4, 0.01, 1.0])
def test_a_sound_export_agrees_however_close_the_errors_of_a_small_fit_lie(spread: float) -> None:
    """Knots a last digit apart would turn the rounding of an error into percentiles."""
    model, features = random_model(0)
    with torch.no_grad():
        middle = model(torch.from_numpy(features)).reconstruction_error.mean().item()
    draws = np.abs(1.0 + spread * np.random.default_rng(1).normal(size=90))
    curve = fit_percentiles((middle * draws).astype(np.float32))
    encoding, standardisation = fit_encoding(features), fit_standardisation(features)
    near = Fused(encoding, standardisation, model.classifier, CALIBRATIONS["platt"], model.vae, curve).eval()
    assert check_agreement(near, export(near, "fraud"), features) <= TOLERANCE
    assert (curve.percentiles[0], curve.percentiles[-1]) == (0.0, 100.0)


def test_the_percentile_curve_is_the_share_of_smaller_errors_and_rises_to_100() -> None:
    """Against the share counted; beyond the largest error it still rises."""
    errors = np.random.default_rng(0).gamma(4.0, size=20_000).astype(np.float32)
    curve = fit_percentiles(errors)
    assert np.all(np.diff(curve.errors) > 0)
    assert np.all(np.diff(curve.percentiles) > 0)
    for error in np.quantile(errors, [0.03, 0.5, 0.97, 0.995]):
        share = float((errors < error).mean()) * 100
        assert np.interp(error, curve.errors, curve.percentiles) == pytest.approx(share, abs=0.5)
    assert np.interp(errors.max() * 1.5, curve.errors, curve.percentiles) > 99.99
    assert curve.percentiles[-1] == 100.0
