"""What is shown of a committed batch: counts, money, distributions, latencies. A handful of array operations."""

from collections import Counter

import numpy as np

from services.observability.metrics import EVICTED, Metrics
from services.observability.policy_metrics import count_rule_hits
from services.scorer.ruling import Ruled
from services.scorer.scored import Scored


def show(metrics: Metrics, label: str, batch: Scored, committed_ms: int) -> None:
    """Count a batch of a partition. committed_ms: when its transaction was committed, ms since 1970 UTC."""
    risk, outcomes = metrics.risk, batch.outcomes
    alert = outcomes.alert
    metrics.scores.labels(label).inc(len(alert))
    metrics.alerts.labels(label).inc(int(np.count_nonzero(alert)))
    metrics.late.labels(label).inc(int(np.count_nonzero(batch.late)))
    _show_turnover(metrics, label, batch)
    _show_latencies(metrics, batch, committed_ms)
    risk.probability.observe(batch.scores.probability)
    risk.percentile.observe(batch.scores.anomaly_percentile)
    amount = np.maximum(batch.amount, 0.0)  # a counter never falls: refunds are not in it
    let_through = outcomes.let_through
    for outcome, chosen in (("pass", ~alert), ("alert", alert & ~let_through), ("let_through", let_through)):
        risk.amount.labels(outcome).inc(float(amount[chosen].sum()))
    for trigger, crossed in (("probability", outcomes.by_probability), ("anomaly_percentile", outcomes.by_anomaly)):
        risk.triggers.labels(trigger).inc(int(np.count_nonzero(crossed)))
    if batch.ruled is not None:
        _show_ruled(metrics, batch.ruled, batch.shadow)
    if batch.without_reasons:
        metrics.risk.without_reasons.labels(label).inc(len(batch.without_reasons))
    strongest = Counter(reasons[0].feature for reasons in batch.reasons.values() if reasons)
    for feature, alerts in strongest.items():
        risk.reasons.labels(feature).inc(alerts)


def _show_ruled(metrics: Metrics, ruled: Ruled, shadow: Ruled | None) -> None:
    if shadow is not None:
        metrics.risk.shadow_changes.inc(int(np.count_nonzero(ruled.ruling.action != shadow.ruling.action)))
    for action, payments in Counter(ruled.said).items():
        metrics.risk.actions.labels(action).inc(payments)
    count_rule_hits(metrics.risk, ruled.ruling.rules, ruled.ruling.shadow_rules)


def _show_turnover(metrics: Metrics, label: str, batch: Scored) -> None:
    if batch.turnover.any():
        new, *forgotten = batch.turnover.tolist()
        metrics.new_ids.labels(label).inc(new)
        for kind, ids in zip(EVICTED, forgotten, strict=True):
            metrics.evicted.labels(label, kind).inc(ids)


def _show_latencies(metrics: Metrics, batch: Scored, committed_ms: int) -> None:
    """From producer and from event time. The slowest record is the exemplar, with the trace where there is one."""
    timestamps_ms = batch.timestamps_ms
    waited_s = (committed_ms - timestamps_ms) / 1000
    slowest = int(np.argmax(waited_s))
    record, trace_id = batch.records[slowest], metrics.trace_id()
    where = {"partition": str(record.partition), "offset": str(record.offset)}
    if trace_id is not None:
        where["trace_id"] = trace_id
    metrics.latency.observe(waited_s, exemplar=(where, float(waited_s[slowest])))
    metrics.risk.event_latency.observe((committed_ms - batch.event_time_ms) / 1000)
