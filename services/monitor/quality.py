"""What labels say of scores: weighted precision, recall, ranking and calibration, by the payments' age. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.monitor import RULES_REPORTED_MAX, QualityReport, RuleQuality
from services.monitor.ledger import DAY_MS, Columns

BINS = 10

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """How silence is read. ages_days: where ages begin, below the maturity.

    silence: whether no label means legitimate, so far and at last. Of applications it means nothing: who was declined never
    shows what would have been, and who was approved may not have taken the loan. Then only what has a label counts, and there
    is no recall.
    """

    ages_days: Sequence[int]
    silence: bool


OF_PAYMENTS = Reading((0, 7, 30), silence=True)
OF_APPLICATIONS = Reading((0, 90, 180), silence=False)


def by_age(
    columns: Columns, now_ms: int, maturity_days: int, reading: Reading = OF_PAYMENTS
) -> Iterator[QualityReport]:
    """One report for each age that has payments. In the oldest, mature ones no label means legitimate.

    In the younger ones it means legitimate so far: precision there can only rise as labels come.
    """
    edges: list[int | None] = [*(age for age in reading.ages_days if age < maturity_days), maturity_days, None]
    age_days = (now_ms - columns.event_time_ms) // DAY_MS
    for low, high in pairwise(edges):
        assert low is not None
        rows = (age_days >= low) & (age_days < (1 << 40 if high is None else high))
        if rows.any():
            yield figures(columns[rows], low, high, reading)


def figures(
    everyone: Columns, age_days_min: int, age_days_max: int | None, reading: Reading = OF_PAYMENTS
) -> QualityReport:
    """Of payments of one age; the oldest age has no end, and is mature."""
    columns = everyone if reading.silence else everyone[everyone.labelled]
    weight, fraud, alert = columns.weight, columns.fraud, columns.alert
    frauds, alerts = float(weight[fraud].sum()), float(weight[alert].sum())
    fraud_alerts, passed = float(weight[fraud & alert].sum()), float(weight[~alert].sum())
    return QualityReport(
        age_days_min=age_days_min,
        age_days_max=age_days_max,
        mature=age_days_max is None,
        payments=float(everyone.weight.sum()),
        frauds=frauds,
        alerts=alerts,
        fraud_alerts=fraud_alerts,
        labelled=int(everyone.labelled.sum()),
        precision=fraud_alerts / alerts if alerts else None,
        recall=fraud_alerts / frauds if frauds and reading.silence else None,
        average_precision=average_precision(columns.probability, fraud, weight),
        roc_auc=roc_auc(columns.probability, fraud, weight),
        passed_bad_rate=float(weight[fraud & ~alert].sum()) / passed if passed else None,
        brier=_mean((columns.probability - fraud) ** 2, weight),
        calibration_error=calibration_error(columns.probability, fraud, weight),
        money_caught=money(columns, fraud & alert),
        money_missed=money(columns, fraud & ~alert),
        money_stopped=money(columns, ~fraud & alert),
        rules=rule_figures(columns),
    )


def money(columns: Columns, rows: NDArray[np.bool_]) -> float | None:
    """Weighted sum of the amounts of these payments; None where no payment's amount is known. Refunds count nothing."""
    known = ~np.isnan(columns.amount)
    if not known.any():
        return None
    chosen = known & rows
    return float((columns.weight[chosen] * np.maximum(columns.amount[chosen], 0.0)).sum())


def rule_figures(columns: Columns) -> tuple[RuleQuality, ...]:
    """Of each rule that holds of some payment, by policy; the policy of the newest payment first."""
    newest: dict[str, int] = {}
    sums: dict[tuple[str, str, Literal["on", "shadow"]], list[float]] = {}
    for row in np.flatnonzero(columns.ruled).tolist():
        policy, rules, shadow_rules = columns.ruled[row]
        newest[policy] = max(newest.get(policy, 0), int(columns.event_time_ms[row]))
        weight, fraud = float(columns.weight[row]), bool(columns.fraud[row])
        held: list[tuple[str, Literal["on", "shadow"]]] = [(name, "on") for name in rules]
        held += [(name, "shadow") for name in shadow_rules]
        for name, state in held:
            found = sums.setdefault((policy, name, state), [0.0, 0.0, 0.0])
            found[0] += weight
            found[1] += weight * fraud
            found[2] += bool(columns.labelled[row])
    ordered = sorted(sums, key=lambda key: (-newest[key[0]], key))[:RULES_REPORTED_MAX]
    return tuple(
        RuleQuality(
            policy=policy,
            rule=rule,
            state=state,
            hits=sums[policy, rule, state][0],
            frauds=sums[policy, rule, state][1],
            labelled=int(sums[policy, rule, state][2]),
            precision=sums[policy, rule, state][1] / hits if (hits := sums[policy, rule, state][0]) else None,
        )
        for policy, rule, state in ordered
    )


def average_precision(probability: Array, fraud: NDArray[np.bool_], weight: Array) -> float | None:
    """Sum of precision times the rise of recall, over falling thresholds; payments of one probability come together."""
    if not weight[fraud].sum():
        return None
    order = np.argsort(-probability, kind="stable")
    falling = probability[order]
    last = np.flatnonzero(np.append(np.diff(falling) != 0, True))
    true = np.cumsum(np.where(fraud[order], weight[order], 0.0))[last]
    taken = np.cumsum(weight[order])[last]
    rises = np.diff(true, prepend=0.0) / true[-1]
    precision = np.divide(true, taken, out=np.zeros_like(true), where=taken > 0)
    return float(min(1.0, np.sum(rises * precision)))


def roc_auc(probability: Array, fraud: NDArray[np.bool_], weight: Array) -> float | None:
    """Chance that a fraud has a higher probability than another; equal ones count half (Mann-Whitney)."""
    bad, good = float(weight[fraud].sum()), float(weight[~fraud].sum())
    if not bad or not good:
        return None
    _, level = np.unique(probability, return_inverse=True)
    bads, goods = (np.bincount(level, np.where(rows, weight, 0.0)) for rows in (fraud, ~fraud))
    below = np.cumsum(goods) - goods / 2
    return float(min(1.0, np.sum(bads * below) / (bad * good)))


def calibration_error(probability: Array, fraud: NDArray[np.bool_], weight: Array) -> float | None:
    """Mean distance between predicted and observed share of frauds, over ten equal bins (expected calibration error)."""
    if not weight.sum():
        return None
    places = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    predicted = np.bincount(places, weight * probability, BINS)
    observed = np.bincount(places, weight * fraud, BINS)
    return float(min(1.0, np.abs(predicted - observed).sum() / weight.sum()))


def _mean(values: Array, weight: Array) -> float | None:
    return float(np.sum(values * weight) / weight.sum()) if weight.sum() else None
