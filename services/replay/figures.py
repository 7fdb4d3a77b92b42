"""Figures of decisions by the labels known at a moment: alerts, frauds and money caught and missed, good payments stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

DAY_MS = 86_400_000
COST_NAMES = ("missed_share", "missed", "stopped_share", "stopped", "alert")


@dataclass(frozen=True, slots=True)
class Costs:
    """What a decision costs: shares of the amount, and fixed sums, of a missed fraud, a good payment stopped, any alert."""

    missed_share: float = 1.0
    missed: float = 0.0
    stopped_share: float = 0.0
    stopped: float = 0.0
    alert: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Of n payments. stopped: alerts on payments that no label says are fraud. None where a share has nothing to be of."""

    payments: int
    frauds: int
    alerts: int
    alerts_a_day: float
    frauds_caught: int
    money_caught: float
    frauds_missed: int
    money_missed: float
    good_stopped: int
    money_stopped: float
    precision: float | None
    recall: float | None
    recall_money: float | None
    cost: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def figures(frame: pl.DataFrame, alert: str, days: float, costs: Costs) -> Figures:
    """Of the decisions in the column `alert`. frame: with is_fraud and amount."""
    caught, missed = pl.col(alert) & pl.col("is_fraud"), ~pl.col(alert) & pl.col("is_fraud")
    stopped = pl.col(alert) & ~pl.col("is_fraud")
    money = pl.col("amount").abs()
    found = frame.select(
        alerts=pl.col(alert).sum(),
        caught=caught.sum(),
        missed=missed.sum(),
        stopped=stopped.sum(),
        money_caught=money.filter(caught).sum(),
        money_missed=money.filter(missed).sum(),
        money_stopped=money.filter(stopped).sum(),
    ).row(0, named=True)
    frauds, fraud_money = found["caught"] + found["missed"], found["money_caught"] + found["money_missed"]
    cost = (
        costs.missed_share * found["money_missed"]
        + costs.missed * found["missed"]
        + costs.stopped_share * found["money_stopped"]
        + costs.stopped * found["stopped"]
        + costs.alert * found["alerts"]
    )
    return Figures(
        payments=len(frame),
        frauds=frauds,
        alerts=found["alerts"],
        alerts_a_day=found["alerts"] / days,
        frauds_caught=found["caught"],
        money_caught=found["money_caught"],
        frauds_missed=found["missed"],
        money_missed=found["money_missed"],
        good_stopped=found["stopped"],
        money_stopped=found["money_stopped"],
        precision=found["caught"] / found["alerts"] if found["alerts"] else None,
        recall=found["caught"] / frauds if frauds else None,
        recall_money=found["money_caught"] / fraud_money if fraud_money else None,
        cost=cost,
    )


def days_of(frame: pl.DataFrame) -> float:
    """From the first payment to the last, an hour at least."""
    if frame.is_empty():
        return 1.0
    span_ms = int(frame["event_time_ms"].max()) - int(frame["event_time_ms"].min())  # type: ignore[arg-type]
    return max(span_ms / DAY_MS, 1 / 24)


def by_segment(frame: pl.DataFrame, column: str) -> list[dict[str, Any]]:
    """One row a value of a column, the most payments first."""
    said = {"then": "then_alert", "now": "alert"}
    counts = [
        expression.alias(f"{name}_{when}")
        for when, alert in said.items()
        for name, expression in (
            ("alerts", pl.col(alert).sum()),
            ("frauds_caught", (pl.col(alert) & pl.col("is_fraud")).sum()),
            ("good_stopped", (pl.col(alert) & ~pl.col("is_fraud")).sum()),
        )
    ]
    grouped = frame.group_by(pl.col(column).alias("value")).agg(
        pl.len().alias("payments"), pl.col("is_fraud").sum().alias("frauds"), *counts
    )
    return grouped.sort(["payments", "value"], descending=[True, False]).to_dicts()


def by_rule(frame: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row a rule, in the policy's order; one that never holds is there, too. names: the rules, each with its state."""
    rows: dict[str, dict[str, Any]] = {}
    for column in ("rules", "shadow_rules"):
        held = frame.select("amount", "is_fraud", pl.col(column).alias("rule"), alone=pl.col(column).list.len() == 1)
        held = held.explode("rule").drop_nulls("rule")
        found = held.group_by("rule").agg(
            pl.len().alias("hits"),
            pl.col("alone").sum().alias("hits_alone"),
            pl.col("is_fraud").sum().alias("frauds"),
            pl.col("amount").abs().filter(pl.col("is_fraud")).sum().alias("money_of_frauds"),
            (~pl.col("is_fraud")).sum().alias("good"),
        )
        rows |= {row["rule"]: row for row in found.to_dicts()}
    empty = {"hits": 0, "hits_alone": 0, "frauds": 0, "money_of_frauds": 0.0, "good": 0}
    return [
        {"rule": name, "state": state, **empty, **rows.get(name, {}), "precision": _precision(rows.get(name))}
        for name, state in names.items()
    ]


def _precision(row: Mapping[str, Any] | None) -> float | None:
    return row["frauds"] / row["hits"] if row is not None and row["hits"] else None


def changed(frame: pl.DataFrame) -> pl.DataFrame:
    """Payments whose decision would be another: alert or none, or, where both are known, another action."""
    other_action = pl.col("then_action").is_not_null() & pl.col("action").is_not_null()
    other_action &= pl.col("then_action") != pl.col("action")
    return frame.filter((pl.col("then_alert") != pl.col("alert")) | other_action).sort(
        ["amount", "transaction_id"], descending=[True, False]
    )


def with_labels(frame: pl.DataFrame, frauds: Sequence[str]) -> pl.DataFrame:
    """The frame with `is_fraud`: a payment that no label says is fraud is taken as good."""
    known = pl.DataFrame(
        {"transaction_id": pl.Series(frauds, dtype=pl.String).unique(), "is_fraud": True}, strict=False
    )
    if known.is_empty():
        return frame.with_columns(is_fraud=pl.lit(False))
    return frame.join(known, on="transaction_id", how="left", maintain_order="left").with_columns(
        pl.col("is_fraud").fill_null(False)
    )
