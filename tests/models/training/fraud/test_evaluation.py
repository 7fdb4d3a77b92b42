"""The figures mean what their names say."""

import numpy as np
import pytest

from models.scoring.scores import Scores
from models.training.data import Dataset
from models.training.fraud.evaluation import card_precision, evaluate
from schemas.manifest import Thresholds


def test_card_precision_counts_cards_not_payments_and_leaves_out_the_found() -> None:
    """Two cards a day: on day 0 cards 7 (fraud, twice) and 8; on day 1 card 7 is known, so 8 and 9 (fraud)."""
    data = Dataset(
        features=np.zeros((7, 1), np.float32),
        card=np.array([7, 7, 8, 9, 7, 8, 9]),
        day=np.array([0, 0, 0, 0, 1, 1, 1]),
        is_fraud=np.array([True, True, False, False, True, False, True]),
        scenario=np.array([1, 1, 0, 0, 1, 0, 1], np.int8),
    )
    score = np.array([0.9, 0.8, 0.5, 0.1, 0.9, 0.5, 0.4], np.float32)
    assert card_precision(data, score, cards=2) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert card_precision(data, score, cards=1) == pytest.approx((1 + 0) / 2)


def test_the_combined_decision_is_an_alert_by_either_score() -> None:
    """Four payments, two frauds, of which each score finds one; one false alarm."""
    data = Dataset(
        np.zeros((4, 1), np.float32),
        np.arange(4),
        np.zeros(4, np.int64),
        np.array([True, True, False, False]),
        np.array([1, 3, 0, 0], np.int8),
    )
    percentile = np.array([10.0, 99.9, 99.9, 5.0], np.float32)
    scores = Scores(np.array([0.9, 0.2, 0.1, 0.0], np.float32), percentile / 100, percentile)
    figures = evaluate(data, scores, Thresholds(probability=0.5, anomaly_percentile=99.0, objective="a test"))
    assert figures["recall_classifier"] == 0.5
    assert figures["recall_anomaly"] == 0.5
    assert figures["recall_combined"] == 1.0
    assert figures["precision_combined"] == pytest.approx(2 / 3)
    assert figures["alert_share_combined"] == 0.75
    assert (figures["recall_anomaly_scenario_1"], figures["recall_anomaly_scenario_3"]) == (0.0, 1.0)
    assert figures["average_precision"] == 1.0
    assert figures["brier"] == pytest.approx((0.01 + 0.64 + 0.01 + 0.0) / 4, abs=1e-6)
