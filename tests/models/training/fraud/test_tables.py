"""The bundle's tables: groups that add up, decisions of equal cost, and a verdict that the figures decide."""

import numpy as np
import pytest

from models.scoring.scores import Scores
from models.training.data import Dataset
from models.training.fraud.tables import OURS, build_evaluation, by_scenario, calibration_bins, decisions
from models.training.results.tables import evaluation_sections
from models.training.thresholds import AlertBudget
from schemas.evaluation import Group
from schemas.manifest import Thresholds

BUDGET = AlertBudget(share=0.02, anomaly_part=0.5)


def scored(rows: int = 5_000) -> tuple[Dataset, Scores]:
    """Frauds of kind 1 that the classifier knows, of kind 3 that only the reconstruction error shows."""
    random = np.random.default_rng(0)
    kind = random.choice([0, 1, 3], rows, p=[0.98, 0.01, 0.01]).astype(np.int8)
    data = Dataset(
        np.zeros((rows, 1), np.float32),
        random.integers(0, 900, rows),
        np.sort(random.integers(0, 4, rows)),
        kind > 0,
        kind,
    )
    probability = np.where(kind == 1, 0.9, 0.01) + 0.05 * random.random(rows)
    error = np.where(kind == 3, 0.5, 0.1) + 0.05 * random.random(rows)
    columns = (probability, error, np.clip(error * 180, 0, 100))
    return data, Scores(*(column.astype(np.float32) for column in columns))


def test_every_decision_raises_equally_many_alerts() -> None:
    """2 % of 5,000, half of the combined ones by each score."""
    _, scores = scored()
    found = decisions(scores, BUDGET)
    assert {name: int(alerts.sum()) for name, alerts in found.items()} == {
        "classifier": 100,
        "anomaly": 100,
        "combined": 100,
    }


def test_a_kind_that_only_the_error_shows_is_found_by_the_combined_decision() -> None:
    """Kind 3: nothing by the classifier, nearly all together; the tables say so."""
    data, scores = scored()
    group = by_scenario(data, scores, BUDGET, 3)
    assert group.positives == (data.scenario == 3).sum()
    assert group.figures["recall_classifier"] < 0.5
    assert group.figures["recall_combined"] > 0.9
    assert group.figures["anomaly_average_precision"] > 0.99


def test_calibration_bins_hold_every_row_once_in_rising_order() -> None:
    """And a calibrated score's bins lie near the diagonal."""
    random = np.random.default_rng(0)
    probability = random.beta(0.2, 10.0, 50_000).astype(np.float32)
    truth = random.random(50_000) < probability
    bins = calibration_bins(probability, truth)
    assert sum(part.records for part in bins) == 50_000
    assert np.all(np.diff([part.probability for part in bins]) > 0)
    assert len(bins) == 10
    for part in bins[1:]:
        assert part.positive_share == pytest.approx(part.probability, abs=0.06)


def test_the_tables_hold_every_day_model_and_kind_and_the_page_shows_them() -> None:
    """Days add up to the cut; a baseline has its difference from ours; the verdict follows from the recalls."""
    data, scores = scored()
    worse = (scores.probability * np.random.default_rng(1).random(len(data))).astype(np.float32)
    unseen = (
        Group(name="scenario 2", records=9, positives=1, figures={"recall_combined": 0.4, "recall_classifier": 0.1}),
        Group(name="scenario 3", records=9, positives=1, figures={"recall_combined": 0.2, "recall_classifier": 0.3}),
    )
    evaluation = build_evaluation(
        data,
        scores,
        Thresholds(probability=0.5, anomaly_percentile=95.0, objective="a test"),
        {"worse": worse},
        seed=1,
        budget=BUDGET,
        day_name=lambda day: f"day {day}",
        unseen=unseen,
        draws=30,
    )
    assert [group.name for group in evaluation.by_day] == ["day 0", "day 1", "day 2", "day 3"]
    assert sum(group.records for group in evaluation.by_day) == len(data)
    assert [group.name for group in evaluation.by_scenario] == ["scenario 1", "scenario 3"]
    models = {model.model: model for model in evaluation.models}
    assert models[OURS].difference == {}
    assert models["worse"].difference["average_precision"].low > 0.0
    page = "\n".join(evaluation_sections(evaluation))
    assert "earns its place on scenario 2: compromised terminal, recall 0.400 with it and 0.100 without." in page
    assert "day 3" in page


def test_an_autoencoder_that_finds_nothing_more_does_not_earn_its_place() -> None:
    """The sentence says so."""
    data, scores = scored(1_000)
    unseen = (
        Group(name="scenario 2", records=9, positives=1, figures={"recall_combined": 0.1, "recall_classifier": 0.1}),
    )
    evaluation = build_evaluation(
        data,
        scores,
        Thresholds(probability=0.5, anomaly_percentile=95.0, objective="a test"),
        {},
        seed=1,
        budget=BUDGET,
        day_name=str,
        unseen=unseen,
        draws=5,
    )
    assert "does not earn its place" in "\n".join(evaluation_sections(evaluation))
