"""What the sections compute, against small cases that can be checked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from models.scoring.scores import Scores
from models.training.model_report.blocks import interval_words, listed, of_hundred
from models.training.model_report.calibration import wilson
from models.training.model_report.drift import stability_index
from models.training.model_report.importance import alert_factors, permutation_importance
from models.training.model_report.inputs import ReportInput
from models.training.model_report.latent import principal_axes
from models.training.model_report.svg import Axis, even_ticks, log_ticks


def test_permutation_importance_is_of_the_features_that_count(fraud: ReportInput) -> None:
    """A model that reads one feature loses everything without it and nothing without another."""
    read = 3

    def run(rows: np.ndarray) -> Scores:
        probability = 1 / (1 + np.exp(-rows[:, read]))
        return Scores(probability.astype(np.float32), rows[:, read], rows[:, read])

    random = np.random.default_rng(0)
    features = random.normal(size=fraud.test.features.shape).astype(np.float32)
    truth = features[:, read] > 1.5
    test = replace(fraud.test, features=features, truth=truth, scores=run(features))
    drops, average = permutation_importance(replace(fraud, test=test, run=run))
    assert average == pytest.approx(1.0)
    assert drops[read] > 0.5
    assert np.count_nonzero(drops) == 1


def test_the_factors_of_alerts_are_shares_of_the_alerts(fraud: ReportInput) -> None:
    """Four reasons an alert at most, over as many alerts as there are."""
    named, alerts = alert_factors(fraud)
    assert 0 < alerts <= 200
    assert named.max() <= 1.0
    assert 0 < named.sum() <= 4.0


def test_principal_axes_are_of_the_negatives_and_have_a_settled_sign() -> None:
    """The long axis first; turning the data around turns nothing but the sign of the data."""
    random = np.random.default_rng(0)
    latent = random.normal(size=(4000, 3)).astype(np.float32) * np.array([1.0, 9.0, 3.0], np.float32)
    truth = np.arange(4000) % 10 == 0
    axes, explained = principal_axes(latent, truth)
    assert explained == pytest.approx(90 / 91, abs=0.01)
    assert np.corrcoef(axes[:, 0], latent[:, 1])[0, 1] > 0.99
    assert np.corrcoef(axes[:, 1], latent[:, 2])[0, 1] > 0.99
    again, _ = principal_axes(-latent, truth)
    np.testing.assert_allclose(again, -axes, atol=1e-4)


def test_the_stability_index_is_0_for_equal_shares_and_known_for_others() -> None:
    """0.5/0.5 against 0.4/0.6: 0.1 ln(0.5/0.4) + 0.1 ln(0.6/0.5)."""
    half = np.array([0.5, 0.5])
    assert stability_index(half, half) == 0.0
    assert stability_index(half, np.array([0.4, 0.6])) == pytest.approx(0.1 * np.log(1.25) + 0.1 * np.log(1.2))
    assert np.isfinite(stability_index(half, np.array([1.0, 0.0])))


def test_wilson_intervals_are_the_published_ones() -> None:
    """0 of 10 gives 0 to 27.8%; 5 of 10 gives 23.7 to 76.3%."""
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_axes_have_round_ticks_within_their_ends() -> None:
    """Linear from 0, and decades."""
    assert even_ticks(63) == (0, 20, 40, 60)
    assert even_ticks(0.19) == pytest.approx((0, 0.05, 0.1, 0.15))
    assert log_ticks(0.0001, 1) == pytest.approx((0.0001, 0.001, 0.01, 0.1, 1))
    assert log_ticks(0.01, 0.3) == pytest.approx((0.01, 0.02, 0.05, 0.1, 0.2))
    assert log_ticks(0.11, 0.31) == pytest.approx((0.11, 0.16, 0.22, 0.31))
    scale = Axis("", 0.01, 1.0, (), str, log=True)
    assert [scale.part(v) for v in (0.0, 0.01, 0.1, 1.0, 5.0)] == pytest.approx([0, 0, 0.5, 1, 1])


def test_numbers_are_said_so_that_they_can_be_pictured() -> None:
    """Not in thousandths."""
    assert of_hundred(0.797) == "80 of 100"
    assert of_hundred(0.0027) == "27 of 10,000"
    assert of_hundred(0.0) == "0 of 100"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_a_share_of_few_is_said_with_its_interval() -> None:
    """Wilson's, which does not end in a point where all are right."""
    assert interval_words(14, 14) == "14 of 14, 95 % interval 78-100 %"
    assert interval_words(0, 10) == "0 of 10, 95 % interval 0-28 %"
    assert interval_words(0, 0) == "0 of 0"
