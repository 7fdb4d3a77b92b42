"""Trees of XGBoost and LightGBM, alone and beside a network: the module, the graph and the library say the same."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.bundle.graph import INPUT, check_graph, has_trees
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.networks.fused import Fused
from models.networks.vae import Vae
from models.scoring.devices import open_session
from models.training.data import Dataset
from models.training.devices import deterministic_torch
from models.training.export import TOLERANCE, check_agreement, export
from models.training.fit_classifier import WIDE, ClassifierSettings, Preset, calibrate, fit_logit, preset
from models.training.fit_trees import Library, TreeSettings, fit_trees
from models.training.fit_vae import fit_percentiles
from models.training.progress import silent

pytestmark = pytest.mark.train

ROWS, FEATURES = 3_000, 20
CLASSIFIERS: tuple[Preset, ...] = ("xgboost", "lightgbm", "blend")


def payments(seed: int) -> Dataset:
    """Payments whose frauds need two features together."""
    random = np.random.default_rng(seed)
    features = random.gamma(1.0, 50.0, size=(ROWS, FEATURES)).astype(np.float32)
    features[:, 2:4] = features[:, 2:4] > 50
    is_fraud = (features[:, 0] > 60) & (features[:, 2] > 0) & (random.random(ROWS) < 0.8)
    zeros = np.zeros(ROWS, np.int64)
    return Dataset(features, zeros, zeros, is_fraud, is_fraud.astype(np.int8))


def edges(data: Dataset) -> NDArray[np.float32]:
    """Rows, their negatives, zeros, and the largest numbers."""
    huge = np.finfo(np.float32).max / 2
    extremes = [np.full((1, FEATURES), value, np.float32) for value in (0.0, -0.0, huge, -huge)]
    return np.concatenate([data.features, -data.features, *extremes])


def fused(settings: ClassifierSettings) -> Fused:
    """A model with a classifier of these settings and an autoencoder that was not trained."""
    train, validation = payments(1), payments(2)
    device = deterministic_torch(1)
    encoding, standardisation = fit_encoding(train.features), fit_standardisation(train.features)
    inputs = ClassifierInputs(encoding, standardisation)
    logit = fit_logit(inputs, train, validation, settings, 1, device, silent)
    calibration = calibrate(logit, validation, settings.calibration)
    curve = fit_percentiles(np.random.default_rng(1).gamma(4.0, 0.03, size=5000).astype(np.float32))
    trees, mix = logit.trees, logit.mix
    return Fused(encoding, standardisation, logit.network, calibration, Vae(), curve, (), trees, mix).eval()


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_the_module_says_what_the_library_says(library: Library) -> None:
    """Of rows on its own thresholds too, and where a value is missing."""
    train, settings = payments(1), TreeSettings(library, trees=20, depth=4)
    trees = fit_trees(train, settings, 1, silent)
    rows = np.repeat(train.features[:1], len(trees.lists.threshold), axis=0)
    rows[np.arange(len(rows)), trees.lists.feature] = trees.lists.threshold
    missing = train.features[:50].copy()
    missing[np.arange(50), np.arange(50) % FEATURES] = np.nan
    rows = np.concatenate([rows, train.features, missing])
    with torch.no_grad():
        found = torch.sigmoid(trees(torch.from_numpy(rows))).numpy()
    np.testing.assert_allclose(found, of_library(library, train, rows), atol=2e-6)


def of_library(library: Library, train: Dataset, rows: NDArray[np.float32]) -> NDArray[np.floating]:
    """Probabilities by the library itself."""
    common = {"n_estimators": 20, "max_depth": 4, "learning_rate": 0.3, "n_jobs": 1, "random_state": 1}
    if library == "xgboost":
        from xgboost import XGBClassifier

        model = XGBClassifier(**common, base_score=0.5, tree_method="hist")
    else:
        from lightgbm import LGBMClassifier

        fixed = {"num_leaves": 16, "deterministic": True, "force_row_wise": True, "verbose": -1}
        fixed |= {"boost_from_average": False, "min_sum_hessian_in_leaf": 1.0, "reg_lambda": 1.0}
        model = LGBMClassifier(**common, **fixed)
    model.fit(train.features, train.is_fraud)
    probabilities: NDArray[np.floating] = model.predict_proba(rows)[:, 1]
    return probabilities


@pytest.mark.parametrize("calibration", ["platt", "isotonic"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_graph_says_what_the_module_says_and_a_scorer_takes_it(name: Preset, calibration: str) -> None:
    """To 1e-5, in one graph that the walk of a bundle takes; a network without trees has none."""
    model = fused(replace(preset(name), epochs=2, calibration=calibration))
    content = export(model, "fraud")
    rows = edges(payments(3))
    assert check_agreement(model, content, rows) <= TOLERANCE
    assert check_graph(content, FEATURES) == content
    assert has_trees(content)
    (probability,) = open_session(content, ["CPUExecutionProvider"]).run(["probability"], {INPUT: rows})
    assert ((probability >= 0.0) & (probability <= 1.0)).all()


def test_the_same_seed_gives_the_same_bytes_and_a_network_alone_has_no_trees() -> None:
    """Of a blend, which has everything."""
    blend = replace(preset("blend"), epochs=1)
    assert export(fused(blend), "fraud") == export(fused(blend), "fraud")
    assert not has_trees(export(fused(replace(WIDE, epochs=1)), "fraud"))


def test_a_blend_is_the_mean_of_two_calibrated_logits() -> None:
    """So neither outweighs the other by the scale of its logits."""
    train, validation = payments(1), payments(2)
    inputs = ClassifierInputs(fit_encoding(train.features), fit_standardisation(train.features))
    settings = replace(preset("blend"), epochs=1)
    logits = []
    for each in (replace(settings, trees=None), replace(settings, network=False), settings):
        logit = fit_logit(inputs, train, validation, each, 1, deterministic_torch(1), silent)
        calibration = calibrate(logit, validation)
        with torch.no_grad():
            logits.append((logit(torch.from_numpy(train.features)).numpy(), calibration))
    (network, of_network), (trees, of_trees), (both, _) = logits
    calibrated = [
        of_network.slope * network + of_network.intercept,  # type: ignore[union-attr]
        of_trees.slope * trees + of_trees.intercept,  # type: ignore[union-attr]
    ]
    np.testing.assert_allclose(both, np.mean(calibrated, axis=0), rtol=1e-4, atol=1e-4)


def test_a_library_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence."""
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ValueError, match=r"xgboost, which is not installed: pip install .*trees"):
        fit_trees(payments(1), TreeSettings(), 1, silent)
