"""The catalogue of metrics: every one that a stream processor shows on /metrics, with its meaning.

`docs/metrics.md` is generated from this file. Labels are bounded: partitions, reason codes, stages; never an id.
"""

from collections.abc import Callable, Iterable
from typing import get_args

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, PlatformCollector, ProcessCollector

from models.bundle.files import Refusal
from schemas.dead_letter import DeadLetterReason
from services.clock import monotonic_s
from services.observability.histogram import BulkHistogram
from services.observability.renamed import RenamedGauge
from services.observability.risk_metrics import RiskMetrics

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

EVICTED = ("fresh", "history")
"""Kinds of ids that are forgotten for want of room."""


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
        self._models()
        self._seen()
        self.risk = RiskMetrics(registry)
        self.on_stage: Callable[[str, float, float], None] | None = None
        """Called after each stage with its name, when it began and when it ended, on the monotonic clock."""
        self.trace_id: Callable[[], str | None] = lambda: None
        """The trace of the batch in work, where there is one."""

    def observe_stage(self, stage: str, started_s: float) -> float:
        """Count the time of one batch in a stage; returns when it ended."""
        ended_s = monotonic_s()
        self.stage.observe(ended_s - started_s, stage)
        if self.on_stage is not None:
            self.on_stage(stage, started_s, ended_s)
        return ended_s

    def show_partition(self, label: str) -> None:
        """Begin a partition's counters at zero, so that a panel shows a line and not "No data"."""
        for counter in (
            self.records,
            self.transactions,
            self.late,
            self.unselected,
            self.offset_gaps,
            self.misplaced,
            self.new_ids,
        ):
            counter.labels(label)
        for kind in EVICTED:
            self.evicted.labels(label, kind)
        self.held.labels(label).set(0)

    def forget_partition(self, label: str) -> None:
        """Remove a partition that we no longer own: its stale lag would alarm for ever."""
        for gauge in (
            self.lag,
            self.open_transaction,
            self.held,
            self.snapshot_time,
            self.snapshot_bytes,
            self.state_keys,
        ):
            if (label,) in gauge._metrics:
                gauge.remove(label)

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
        self.unselected = self._counter(
            "unselected_records",
            "Records that the source spec does not select: passed over, no dead letters.",
            partition,
        )
        self.events = self._counter("events", "Events that intake committed on `events`.", partition)
        self.misplaced = self._counter(
            "misplaced_records",
            "Records judged on another partition than the one where Kafka's default partitioner puts their card (applicant).",
            partition,
        )
        self.new_ids = self._counter(
            "new_ids", "Ids that began a history: first payments, and forgotten ids.", partition
        )
        self.evicted = self._counter(
            "evicted_ids",
            "Ids forgotten for want of room, by kind: fresh (fewer than 3 payments) or history.",
            [*partition, "kind"],
        )
        self.transactions = self._counter("transactions", "Micro-batches committed.", partition)
        self.offset_gaps = self._counter(
            "offset_gap_records", "Records that retention removed before they were read.", partition
        )
        self.lag = self._gauge(
            "lag_records", "Records in the partition, up to its end, that are not yet committed.", partition
        )
        self.held = self._gauge("partition_held", "1 while too many dead letters hold the partition.", partition)
        RenamedGauge(self.held, self.registry)
        self.open_transaction = self._gauge(
            "open_transaction_seconds",
            "How long an open transaction of another producer has hidden all that waits; 0 without one.",
            partition,
        )
        self.snapshot_time = self._gauge(
            "snapshot_timestamp_seconds", "When the newest snapshot was saved, Unix time.", partition
        )
        self.snapshot_bytes = self._gauge("snapshot_bytes", "Size of the newest snapshot.", partition)
        self.forgotten_terminals = self._counter(
            "forgotten_terminals",
            "Terminals that made room for others, since ASSAY_TERMINALS_MAX have a profile: fresh (of few payments or of one "
            "day), established.",
            ["kind"],
        )
        self.state_keys = self._gauge("state_cards", "Ids in the state: cards, or the profiler's terminals.", partition)

    def _process(self) -> None:
        """What is measured of the process as a whole."""
        self.replaced = self._gauge(
            "log_replaced", "1 once an input topic was deleted and made again while it was worked.", ["topic"]
        )
        self.partitions_added = self._gauge(
            "partitions_added", "Partitions that an input topic gained since the process started.", ["topic"]
        )
        self.dead_letters = self._counter("dead_letters", "Dead letters committed, by reason.", ["reason"])
        self.skipped = self._counter(
            "skipped_records",
            "Records that a low-rate service could not handle, named in the log and left out.",
            ["topic"],
        )
        self.failures = self._counter(
            "partition_failures", "Times a partition was started again from what is committed, by error.", ["error"]
        )
        self.retriable = self._counter(
            "client_retries", "Retriable errors that the Kafka library met and retried, by error.", ["error"]
        )
        self.process_transactions = self._counter(
            "process_transactions",
            "Transactions committed, each for several partitions' micro-batches (ASSAY_TRANSACTIONS=process).",
            [],
        )
        self.producers = self._counter("producers_started", "Producers started, by cause.", ["cause"])
        self.rebalances = self._counter("rebalances", "Assignments received from the group.", [])
        self.snapshots = self._counter(
            "snapshots", "Snapshots, by outcome: saved, failed, abandoned, restored, rejected.", ["outcome"]
        )
        self.ready = self._gauge("ready", "1 when every assigned partition is restored and moving.", [])
        self.assigned = self._gauge("assigned_partitions", "Partitions that this process owns.", [])
        self.unplaced_labels = self._counter(
            "unplaced_labels",
            "Frauds labelled without a time, or without any id that a profile or a feature of labels asks for.",
            [],
        )
        self.forgotten_sums = self._counter(
            "forgotten_terminal_sums", "Sums of a day that lies behind what profiles keep, not added.", []
        )
        self._tables()
        self.latency = self._histogram(
            "commit_latency_seconds",
            "From the input record's timestamp to its committed score (of intake: event).",
            LATENCY_BUCKETS_S,
        )
        self.entity_wait = self._histogram(
            "entity_wait_seconds",
            "From the source record's timestamp until the values of an entity are committed, by entity.",
            LATENCY_BUCKETS_S,
            "entity",
        )
        self.stage = self._histogram("stage_seconds", "Time of one batch in each stage.", STAGE_BUCKETS_S, "stage")
        self.batch = self._histogram("batch_records", "Records in a micro-batch.", BATCH_BUCKETS)

    def _tables(self) -> None:
        """What is measured of the topics that this process holds as tables."""
        self.table_lag = self._gauge(
            "table_lag_records", "Records of a followed table that are not yet in it.", ["topic"]
        )
        self.table_refused = self._counter(
            "table_records_refused", "Records of a followed topic that are skipped: none of ours wrote them.", ["topic"]
        )
        self.list_entries = self._gauge("list_entries", "Entries of all lists that this process holds.", [])
        self.table_age = self._gauge(
            "table_age_seconds", "Since a followed table was last seen to hold all of its topic.", ["topic"]
        )

    def _models(self) -> None:
        """What scores."""
        self.model = self._gauge(
            "model_info", "1 for the active model: bundle and execution provider.", ["bundle", "provider"]
        )
        self.challenger = self._gauge(
            "challenger_info", "1 for the model that scores as challenger: bundle and provider.", ["bundle", "provider"]
        )
        self.unsigned = self._gauge("unsigned_bundles_allowed", "1 while bundles need no signature.", [])
        self.sealed = self._gauge("decisions_sealed", "1 while decision records are sealed per subject.", [])
        self.refused_bundles = self._counter("bundles_refused", "Bundles refused while running, by reason.", ["reason"])
        self.swaps = self._counter(
            "swaps", "Changes of model while running, by kind: swapped, rolled_back, challenger, withdrawn.", ["kind"]
        )
        self.challenger_failures = self._counter(
            "challenger_failures", "Batches that the challenger could not score; it is then dropped.", []
        )

    def _seen(self) -> None:
        """Other metrics for operators, and labels that begin at zero."""
        self.fenced = self._counter(
            "producers_fenced", "Times another owner's producer took over a partition that we worked.", []
        )
        self.certificates = self._gauge(
            "certificate_expiry_timestamp_seconds", "When a TLS file expires, Unix time: ca, client, http.", ["file"]
        )
        self.held_back = self._counter("log_lines_held_back", "Repetitions of a fault that were not logged.", [])
        for reason in DeadLetterReason:
            self.dead_letters.labels(reason.value)
        for outcome in ("saved", "failed", "restored", "rejected"):
            self.snapshots.labels(outcome)
        for cause in ("assignment", "restart", "age"):
            self.producers.labels(cause)
        for kind in ("swapped", "rolled_back", "challenger", "withdrawn"):
            self.swaps.labels(kind)
        for why in get_args(Refusal):
            self.refused_bundles.labels(why)

    def label(self, source: TopicPartition) -> str:
        """The value of the label `partition`."""
        return f"{source.topic}-{source.partition}" if self._by_topic else str(source.partition)


def catalogue(metrics: object) -> list[tuple[str, str, str, str]]:
    """Name, kind, labels and meaning of each metric that `metrics` holds, for the documentation."""
    rows = []
    for collector in vars(metrics).values():
        if isinstance(collector, (Counter, Gauge)):
            for family in collector.describe():
                name = family.name + ("_total" if family.type == "counter" else "")
                rows.append((name, family.type, ", ".join(collector._labelnames), family.documentation))
        elif isinstance(collector, BulkHistogram):
            rows.append((collector.name, "histogram", collector.label or "", collector.documentation))
    return sorted(rows)
