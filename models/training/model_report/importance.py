"""What the model looks at: how much worse it ranks without a feature, and which features explain its alerts."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from models.scoring.shapley import REASONS_MAX, UNIT, coalitions_max, contributions, ranked
from models.training.model_report.blocks import Figure, Section, Table, count, figure, percent
from models.training.model_report.inputs import ReportInput, decide
from models.training.model_report.svg import ranking
from schemas.alert import Trigger

STRATUM_ROWS_MAX = 3_000
"""Rows that are scored again: of the positives, of the highest negatives, and of the others, which count for all of these."""

REPEATS = 2
ALERTS_MAX = 200
ALERT_ROWS_MAX = 200_000
"""Rows of the model that the reasons of all alerts together may take."""

SHOWN = 12
SEED = 0


def importance_section(data: ReportInput) -> Section:
    """Permutation importance on average precision, and Shapley values over the alerts."""
    drops, average = permutation_importance(data)
    behind, alerts = alert_factors(data)
    order = np.argsort(-drops, kind="stable")
    names, descriptions, words = data.names, data.descriptions, data.words
    first = order[0]
    table = Table(
        "Every feature",
        ("feature", "in words", "average precision lost", f"in the reasons of {words.alerts}"),
        tuple((names[f], descriptions[f], figure(float(drops[f]), 4), percent(float(behind[f]))) for f in order),
        left=(1,),
    )
    return Section(
        "importance",
        "What does it look at?",
        (
            "Importance is not cause: a feature that only accompanies another can be important, and one of two alike not.",
        ),
        (
            Figure(
                "Importance for the ranking (permutation)",
                f"Each feature's values are shuffled among the {words.events}, {REPEATS} times; shown is what the average "
                f"precision of {figure(average)} loses. Most by “{descriptions[first]}”: {figure(float(drops[first]))}.",
                ranking(
                    [(descriptions[f], float(drops[f]), figure(float(drops[f]))) for f in order[:SHOWN]],
                    "c1",
                    f"Features by importance: {', '.join(names[f] for f in order[:SHOWN])}.",
                ),
            ),
            _behind(data, behind, alerts),
        ),
        (table,),
    )


def _behind(data: ReportInput, behind: NDArray[np.float64], alerts: int) -> Figure:
    order = np.argsort(-behind, kind="stable")[:SHOWN]
    return Figure(
        f"Reasons of {data.words.alerts} (Shapley values)",
        f"How often a feature is among the {REASONS_MAX} strongest reasons, over {count(alerts)} {data.words.alerts} of the "
        f"test, computed as the scorer computes them: against typical {data.words.reference}, the values adding up to the "
        "score."
        if alerts
        else f"There are no {data.words.alerts} on these rows.",
        ranking(
            [(data.descriptions[f], float(behind[f]), percent(float(behind[f]), 0)) for f in order],
            "c3",
            f"Features by how often they are a reason: {', '.join(data.names[f] for f in order)}.",
        ),
    )


def permutation_importance(data: ReportInput) -> tuple[NDArray[np.float64], float]:
    """Mean drop of the probability's average precision per feature, float64[F], and the average precision itself.

    On the positives, the negatives with the highest probability, which decide the average precision, and a weighted sample of
    the rest. Fisher, Rudin, Dominici, "All Models are Wrong, but Many are Useful", 2019.
    """
    random = np.random.default_rng(SEED)
    by_score = np.argsort(-data.test.scores.probability, kind="stable")
    negatives = by_score[~data.test.truth[by_score]]
    strata = (np.flatnonzero(data.test.truth), negatives[:STRATUM_ROWS_MAX], negatives[STRATUM_ROWS_MAX:])
    parts = [_sample(random, rows) for rows in strata if len(rows)]
    chosen = np.concatenate(parts)
    weight = np.concatenate(
        [np.full(len(part), len(rows) / len(part)) for part, rows in zip(parts, filter(len, strata), strict=True)]
    )
    truth, features = data.test.truth[chosen], data.test.features[chosen]
    places = random.choice(len(chosen), size=(REPEATS, len(chosen)), p=weight / weight.sum())

    def precision(rows: NDArray[np.float32]) -> float:
        return float(average_precision_score(truth, data.run(rows).probability, sample_weight=weight))

    whole, drops = precision(features), np.zeros(features.shape[1])
    for feature in range(features.shape[1]):
        for place in places:
            shuffled = features.copy()
            shuffled[:, feature] = features[place, feature]
            drops[feature] += (whole - precision(shuffled)) / REPEATS
    return drops, whole


def _sample(random: np.random.Generator, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return rows if len(rows) <= STRATUM_ROWS_MAX else np.sort(random.choice(rows, STRATUM_ROWS_MAX, replace=False))


def alert_factors(data: ReportInput) -> tuple[NDArray[np.float64], int]:
    """Share of alerts in whose reasons each feature is, float64[F], and how many alerts were looked at."""
    decisions = decide(data.test.scores, data.manifest.thresholds)
    alerts, background = np.flatnonzero(decisions["combined"]), np.array(data.reference.background, np.float32)
    named = np.zeros(data.test.features.shape[1])
    if not len(alerts):
        return named, 0
    affordable = ALERT_ROWS_MAX // (coalitions_max(len(named)) * len(background))
    most = min(len(alerts), ALERTS_MAX, max(1, affordable))
    alerts = alerts[np.linspace(0, len(alerts) - 1, most).astype(int)]
    crossed: dict[Trigger, NDArray[np.bool_]] = {
        "probability": decisions["classifier"],
        "anomaly_percentile": decisions["anomaly"],
    }
    triggers = [tuple(trigger for trigger in UNIT if crossed[trigger][row]) for row in alerts]
    values = contributions(data.run, data.test.features[alerts], background, trees=data.trees, triggers=triggers)
    for alert in range(len(alerts)):
        factors = ranked({trigger: values[trigger][alert] for trigger in triggers[alert]})
        named[sorted({feature for feature, _, _ in factors})] += 1
    return named / len(alerts), len(alerts)
