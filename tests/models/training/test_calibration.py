"""Calibrations bring probabilities to frequencies; the isotonic one keeps the ranking and survives its export."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from models.networks.fused import Calibration, CalibrationCurve, Curve
from models.training.calibration import KNOT_GAP, Method, fit_calibration


def overconfident(rows: int = 20_000) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits three times as far out as the truth, and shifted."""
    random = np.random.default_rng(0)
    logits = random.normal(-2.0, 1.0, rows)
    truth = random.random(rows) < 1.0 / (1.0 + np.exp(-logits))
    return 3.0 * logits + 1.0, truth


def probabilities(calibration: Calibration | CalibrationCurve, logits: NDArray[np.float64]) -> NDArray[np.float32]:
    tensor = torch.from_numpy(logits.astype(np.float32))
    if isinstance(calibration, CalibrationCurve):
        return Curve(calibration)(tensor).numpy()
    return torch.sigmoid(calibration.slope * tensor + calibration.intercept).numpy()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibrated_probability_is_a_frequency(method: Method) -> None:
    """Within 0.03 in every tenth of 40,000 rows that it was not fitted on; the raw one is 0.2 off in some."""
    logits, truth = overconfident(80_000)
    calibration = fit_calibration(logits[:40_000], truth[:40_000], method)
    probability = probabilities(calibration, logits[40_000:])
    for rows in np.array_split(np.argsort(probability), 10):
        assert truth[40_000:][rows].mean() == pytest.approx(probability[rows].mean(), abs=0.03)


def test_platt_finds_the_line_and_temperature_its_slope_alone() -> None:
    """Slope 1/3; temperature scaling leaves the decision at 0 where it was."""
    logits, truth = overconfident()
    platt, temperature = (fit_calibration(logits, truth, method) for method in ("platt", "temperature"))
    assert isinstance(platt, Calibration)
    assert isinstance(temperature, Calibration)
    assert platt.slope == pytest.approx(1 / 3, abs=0.02)
    assert platt.intercept == pytest.approx(-1 / 3, abs=0.05)
    assert temperature.intercept == 0.0
    raw = log_loss(truth, probabilities(Calibration(1.0, 0.0), logits).astype(np.float64))
    assert log_loss(truth, probabilities(temperature, logits).astype(np.float64)) < raw


def test_the_isotonic_curve_rises_strictly_and_is_never_certain() -> None:
    """So ties stay few, the log loss finite, and no step too steep for a float32."""
    logits, truth = overconfident(2_000)
    curve = fit_calibration(logits, truth, "isotonic")
    assert isinstance(curve, CalibrationCurve)
    assert np.all(np.diff(curve.probabilities) > 0.0)
    assert np.min(np.diff(curve.logits)) >= KNOT_GAP
    assert 0.0 < curve.probabilities[0] < curve.probabilities[-1] < 1.0
    ordered = probabilities(curve, np.sort(logits))
    assert np.all(np.diff(ordered) >= 0.0)
    assert len(np.unique(ordered)) > 1_500


def test_an_isotonic_curve_of_a_perfect_score_still_exists() -> None:
    """All frauds above all others."""
    logits = np.concatenate([np.full(50, -3.0), np.full(5, 2.0)])
    curve = fit_calibration(logits, logits > 0, "isotonic")
    assert probabilities(curve, logits)[0] < 0.05
    assert probabilities(curve, logits)[-1] > 0.8
