"""What is shown of a committed batch: money by outcome, reasons, latencies with the slowest record."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from prometheus_client.openmetrics.exposition import generate_latest

from schemas.alert import Reason
from services.observability.metrics import Metrics
from services.scorer.decide import Outcomes
from services.scorer.seen import show

NOW_MS = 1_700_000_000_000


@dataclass
class Record:
    """As much of an input as is looked at."""

    offset: int
    partition: int = 3


def batch() -> Any:
    """Four payments: one passes, two are alerts, of which one is let through, one passes late."""
    no, yes = False, True
    return SimpleNamespace(
        without_reasons=frozenset(),
        records=[Record(offset) for offset in range(10, 14)],
        timestamps_ms=np.array([NOW_MS - 5, NOW_MS - 40, NOW_MS - 2, NOW_MS - 1]),
        event_time_ms=np.array([NOW_MS - 1000] * 4),
        amount=np.array([1.0, 20.0, 300.0, 4000.0]),
        late=np.array([no, no, no, yes]),
        scores=SimpleNamespace(
            probability=np.array([0.01, 0.9, 0.95, 0.02], np.float32),
            anomaly_percentile=np.array([5.0, 99.9, 50.0, 20.0], np.float32),
        ),
        outcomes=Outcomes(
            by_probability=np.array([no, yes, yes, no]),
            by_anomaly=np.array([no, yes, no, no]),
            let_through=np.array([no, no, yes, no]),
        ),
        turnover=np.array([3, 2, 1]),
        ruled=None,
        reasons={
            1: (Reason(feature="amount", value=20.0, contribution=0.5, score="probability", text="amount: 20"),),
            2: (Reason(feature="hour", value=3.0, contribution=0.4, score="probability", text="hour: 3"),),
        },
    )


def test_money_alerts_and_reasons_are_counted_by_what_became_of_them() -> None:
    """What is let through is no block, though it is an alert; an alert may cross both thresholds."""
    metrics = Metrics()
    show(metrics, "3", batch(), NOW_MS)
    value = metrics.registry.get_sample_value
    amounts = {
        outcome: value("assay_amount_total", {"outcome": outcome}) for outcome in ("pass", "alert", "let_through")
    }
    assert amounts == {"pass": 4001.0, "alert": 20.0, "let_through": 300.0}
    assert value("assay_scores_total", {"partition": "3"}) == 4
    assert value("assay_new_ids_total", {"partition": "3"}) == 3
    assert value("assay_evicted_ids_total", {"partition": "3", "kind": "fresh"}) == 2
    assert value("assay_evicted_ids_total", {"partition": "3", "kind": "history"}) == 1
    assert value("assay_alerts_total", {"partition": "3"}) == 2
    assert value("assay_late_records_total", {"partition": "3"}) == 1
    assert value("assay_alert_triggers_total", {"trigger": "probability"}) == 2
    assert value("assay_alert_triggers_total", {"trigger": "anomaly_percentile"}) == 1
    assert value("assay_alert_reasons_total", {"feature": "amount"}) == 1
    assert value("assay_probability_count") == value("assay_anomaly_percentile_count") == 4


def test_the_slowest_record_is_the_exemplar_with_its_trace() -> None:
    """From a latency on the panel to the record in the log."""
    metrics = Metrics()
    metrics.trace_id = lambda: "0af7651916cd43dd8448eb211c80319c"
    show(metrics, "3", batch(), NOW_MS)
    (line,) = (line for line in generate_latest(metrics.registry).decode().splitlines() if "# {" in line)
    assert line.startswith('assay_commit_latency_seconds_bucket{le="0.05"}')
    assert 'offset="11",partition="3",trace_id="0af7651916cd43dd8448eb211c80319c"} 0.04 ' in line
    assert metrics.registry.get_sample_value("assay_event_latency_seconds_sum") == 4.0
