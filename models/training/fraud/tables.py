"""The evaluation as a bundle records it: beside other models, by day, by kind of fraud, and for kinds never seen."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from models.scoring.scores import Scores
from models.training.bootstrap import DRAWS, WORDS, bootstrap, differences, estimates
from models.training.data import Dataset
from models.training.thresholds import AlertBudget
from schemas.evaluation import UNSUPERVISED, CalibrationBin, Evaluation, Group, ModelFigures
from schemas.manifest import Thresholds

OURS = "classifier"
ANOMALY = "reconstruction error"
CALIBRATION_BINS = 10

EPOCH = date(1970, 1, 1)

DayName = Callable[[int], str]


def build_evaluation(
    test: Dataset,
    scores: Scores,
    thresholds: Thresholds,
    others: Mapping[str, NDArray[np.float32]],
    *,
    seed: int,
    budget: AlertBudget,
    day_name: DayName,
    unseen: tuple[Group, ...] = (),
    draws: int = DRAWS,
    drawn: str = "",
) -> Evaluation:
    """Every table. others: scores of the same rows by other models, those of UNSUPERVISED beside the anomaly score.

    day_name: names the days of `test`. drawn: which rows the others were fitted on, if not on all.
    """
    ranked = {OURS: scores.probability, ANOMALY: scores.reconstruction_error, **others}
    figures = bootstrap(test, ranked, seed, draws)
    return Evaluation(
        intervals=WORDS + drawn,
        models=tuple(
            ModelFigures(
                model=name,
                figures=estimates(figures[name]),
                difference=differences(figures[_rival(name)], figures[name]) if name in others else {},
            )
            for name in ranked
        ),
        calibration=calibration_bins(scores.probability, test.is_fraud),
        by_day=day_groups(test, scores, thresholds, day_name),
        by_scenario=tuple(
            by_scenario(test, scores, budget, int(k)) for k in np.unique(test.scenario[test.is_fraud]) if k
        ),
        unseen=unseen,
    )


def _rival(name: str) -> str:
    return ANOMALY if name.endswith(UNSUPERVISED) else OURS


def day_groups(
    test: Dataset, scores: Scores, thresholds: Thresholds, day_name: DayName | None = None
) -> tuple[Group, ...]:
    """Each day at these thresholds. day_name: names the days of `test`; by default they count from 1970."""
    name = day_name or (lambda day: (EPOCH + timedelta(days=day)).isoformat())
    return tuple(
        _day(name(int(day)), test[rows], _of(scores, rows), thresholds)
        for day in np.unique(test.day)
        for rows in (test.day == day,)
    )


def calibration_bins(
    probability: NDArray[np.float32], is_positive: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> tuple[CalibrationBin, ...]:
    """Rows in order of their probability, in parts that hold the same number of expected positives, not of rows.

    Frauds are rare: of ten parts of equal rows nine would hold none.
    """
    order = np.argsort(probability, kind="stable")
    expected = np.cumsum(probability[order].astype(np.float64))
    cuts = np.searchsorted(expected, expected[-1] * np.arange(1, bins) / bins) if len(order) else []
    return tuple(
        CalibrationBin(
            records=len(rows),
            probability=float(probability[rows].mean(dtype=np.float64)),
            positive_share=float(is_positive[rows].mean()),
        )
        for rows in np.split(order, cuts)
        if len(rows)
    )


def by_scenario(test: Dataset, scores: Scores, budget: AlertBudget, scenario: int) -> Group:
    """One kind of fraud: how well each score ranks it among what is legitimate, and what each decision finds of it.

    The decisions raise equally many alerts on these rows, the budget's share: by the classifier alone, by the reconstruction
    error alone, and by both as the budget divides it.
    """
    frauds = test.scenario == scenario
    rows = ~test.is_fraud | frauds
    figures = {
        "average_precision": average_precision_score(frauds[rows], scores.probability[rows]),
        "anomaly_average_precision": average_precision_score(frauds[rows], scores.reconstruction_error[rows]),
    }
    for name, alerts in decisions(scores, budget).items():
        figures[f"recall_{name}"] = alerts[frauds].mean()
    return Group(
        name=f"scenario {scenario}",
        records=int(rows.sum()),
        positives=int(frauds.sum()),
        figures={name: float(value) for name, value in figures.items()},
    )


def decisions(scores: Scores, budget: AlertBudget) -> dict[str, NDArray[np.bool_]]:
    """bool[n] alerts of each decision, all with the same number of them."""
    count = round(budget.share * len(scores.probability))
    by_anomaly = round(count * budget.anomaly_part)
    combined = _top(scores.probability, count - by_anomaly)
    rest = np.where(combined, -np.inf, scores.reconstruction_error)
    return {
        "classifier": _top(scores.probability, count),
        "anomaly": _top(scores.reconstruction_error, count),
        "combined": combined | _top(rest, by_anomaly),
    }


def _top(score: NDArray[np.floating], count: int) -> NDArray[np.bool_]:
    alerts = np.zeros(len(score), np.bool_)
    alerts[np.argsort(-score, kind="stable")[:count]] = True
    return alerts


def _of(scores: Scores, rows: NDArray[np.bool_]) -> Scores:
    return Scores(*(column[rows] for column in scores))


def _day(name: str, day: Dataset, scores: Scores, thresholds: Thresholds) -> Group:
    alerts = scores.probability >= thresholds.probability
    alerts |= scores.anomaly_percentile >= thresholds.anomaly_percentile
    right = int((alerts & day.is_fraud).sum())
    figures = {"alerts": float(alerts.sum()), "precision": right / max(1, int(alerts.sum()))}
    if frauds := int(day.is_fraud.sum()):
        figures |= {
            "recall": right / frauds,
            "average_precision": float(average_precision_score(day.is_fraud, scores.probability)),
        }
    return Group(name=name, records=len(day), positives=frauds, figures=figures)
