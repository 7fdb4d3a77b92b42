"""The catalogue of metrics: every one that a stream processor shows on /metrics, with its meaning.

`docs/metrics.md` is generated from this file. Labels are bounded: partitions, reason codes, stages; never an id.
"""

from collections.abc import Iterable

import numpy as np
from aiokafka import TopicPartition
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (
    0.001,
    0.0025,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.02,
    0.025,
    0.035,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    1.0,
    5.0,
    30.0,
)
STAGE_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)
BATCH_BUCKETS = (1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0)


class BulkHistogram(Collector):
    """A classic histogram that takes a whole array at once: one call a batch, not one a record."""

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Iterable[float],
        registry: CollectorRegistry,
        label: str | None = None,
    ) -> None:
        self.name, self.documentation, self.label = name, documentation, label
        self._edges = np.asarray(tuple(buckets))
        self._series: dict[str, tuple[NDArray[np.int64], list[float]]] = {}
        registry.register(self)

    def observe(self, values: NDArray[np.float64] | float, label: str = "") -> None:
        """Count values into their buckets."""
        counts, total = self._series.setdefault(label, (np.zeros(len(self._edges) + 1, np.int64), [0.0]))
        places = np.atleast_1d(np.searchsorted(self._edges, values))
        counts += np.bincount(places, minlength=len(counts))
        total[0] += float(np.sum(values))

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Name and help, before any value."""
        yield HistogramMetricFamily(self.name, self.documentation)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The Prometheus form."""
        family = HistogramMetricFamily(self.name, self.documentation, labels=[self.label] if self.label else [])
        for label, (counts, total) in list(self._series.items()):
            upper = [*(str(edge) for edge in self._edges), "+Inf"]
            cumulated = zip(upper, np.cumsum(counts).tolist(), strict=True)
            family.add_metric([label] if self.label else [], list(cumulated), total[0])
        yield family


class Metrics:
    """One process's metrics in a registry of their own.

    by_topic: the process works partitions of several topics, so a partition is called by topic and number.
    """

    def __init__(self, *, by_topic: bool = False) -> None:
        self._by_topic = by_topic
        self.registry = registry = CollectorRegistry()
        for process_collector in (ProcessCollector, PlatformCollector, GCCollector):
            process_collector(registry=registry)
        self._partitions()
        self._process()

    def _counter(self, name: str, help_text: str, labels: list[str]) -> Counter:
        return Counter(f"assay_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, labels: list[str]) -> Gauge:
        return Gauge(f"assay_{name}", help_text, labels, registry=self.registry)

    def _histogram(
        self, name: str, help_text: str, buckets: Iterable[float], label: str | None = None
    ) -> BulkHistogram:
        return BulkHistogram(f"assay_{name}", help_text, buckets, self.registry, label)

    def _partitions(self) -> None:
        """What is measured of each partition."""
        partition = ["partition"]
        self.records = self._counter("records", "Input records whose outputs are committed.", partition)
        self.scores = self._counter("scores", "Scores committed.", partition)
        self.alerts = self._counter("alerts", "Alerts committed.", partition)
        self.credit_outcomes = self._counter(
            "credit_outcomes", "Credit decisions committed, by outcome.", [*partition, "outcome"]
        )
        self.late = self._counter("late_records", "Records scored but too late to enter the history.", partition)
        self.transactions = self._counter("transactions", "Micro-batches committed.", partition)
        self.offset_gaps = self._counter(
            "offset_gap_records", "Records that retention removed before they were read.", partition
        )
        self.lag = self._gauge("lag_records", "Records in the partition that are not yet committed.", partition)
        self.paused = self._gauge("partition_paused", "1 while too many dead letters hold the partition.", partition)
        self.snapshot_time = self._gauge(
            "snapshot_timestamp_seconds", "When the newest snapshot was saved, Unix time.", partition
        )
        self.snapshot_bytes = self._gauge("snapshot_bytes", "Size of the newest snapshot.", partition)
        self.state_keys = self._gauge("state_cards", "Ids in the state: cards, or the profiler's terminals.", partition)

    def _process(self) -> None:
        """What is measured of the process as a whole."""
        self.dead_letters = self._counter("dead_letters", "Dead letters committed, by reason.", ["reason"])
        self.failures = self._counter(
            "partition_failures", "Times a partition was started again from what is committed, by error.", ["error"]
        )
        self.retriable = self._counter(
            "client_retries", "Retriable errors that the Kafka library met and retried, by error.", ["error"]
        )
        self.producers = self._counter("producers_started", "Producers started, by cause.", ["cause"])
        self.rebalances = self._counter("rebalances", "Assignments received from the group.", [])
        self.snapshots = self._counter(
            "snapshots", "Snapshots, by outcome: saved, failed, restored, rejected.", ["outcome"]
        )
        self.ready = self._gauge("ready", "1 when every assigned partition is restored and moving.", [])
        self.assigned = self._gauge("assigned_partitions", "Partitions that this process owns.", [])
        self.unplaced_labels = self._counter(
            "unplaced_labels", "Frauds labelled without terminal or event time, which no profile counts.", []
        )
        self.forgotten_sums = self._counter(
            "forgotten_terminal_sums", "Sums of a day that lies behind what profiles keep, not added.", []
        )
        self.table_lag = self._gauge(
            "table_lag_records", "Records of a followed table that are not yet in it.", ["topic"]
        )
        self.table_age = self._gauge(
            "table_age_seconds", "Since a followed table was last seen to hold all of its topic.", ["topic"]
        )
        self.model = self._gauge(
            "model_info", "1 for the model in force: bundle and execution provider.", ["bundle", "provider"]
        )
        self.challenger = self._gauge(
            "challenger_info", "1 for the model that scores in the shadow: bundle and provider.", ["bundle", "provider"]
        )
        self.unsigned = self._gauge("unsigned_bundles_allowed", "1 while bundles need no signature.", [])
        self.refused_bundles = self._counter("bundles_refused", "Bundles refused while running, by reason.", ["reason"])
        self.swaps = self._counter(
            "swaps", "Changes of model while running, by kind: swapped, rolled_back, challenger, withdrawn.", ["kind"]
        )
        self.shadow_failures = self._counter(
            "challenger_failures", "Batches that the challenger could not score; it is then let go.", []
        )
        self.latency = self._histogram(
            "commit_latency_seconds", "From the input record's timestamp to its committed score.", LATENCY_BUCKETS_S
        )
        self.stage = self._histogram("stage_seconds", "Time of one batch in each stage.", STAGE_BUCKETS_S, "stage")
        self.batch = self._histogram("batch_records", "Records in a micro-batch.", BATCH_BUCKETS)

    def label(self, source: TopicPartition) -> str:
        """The value of the label `partition`."""
        return f"{source.topic}-{source.partition}" if self._by_topic else str(source.partition)


def catalogue() -> list[tuple[str, str, str, str]]:
    """Name, kind, labels and meaning of each of our metrics, for the documentation."""
    rows = []
    for collector in vars(Metrics()).values():
        if isinstance(collector, (Counter, Gauge)):
            for family in collector.describe():
                name = family.name + ("_total" if family.type == "counter" else "")
                rows.append((name, family.type, ", ".join(collector._labelnames), family.documentation))
        elif isinstance(collector, BulkHistogram):
            rows.append((collector.name, "histogram", collector.label or "", collector.documentation))
    return sorted(rows)
