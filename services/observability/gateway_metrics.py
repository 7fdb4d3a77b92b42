"""The catalogue of metrics of the gateway. Labels are bounded: statuses, kinds; never an id or a caller's path."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.observability.histogram import BulkHistogram
from services.observability.metrics import LATENCY_BUCKETS_S
from services.web.clients import CLOSED_CAUSES, CLOSED_MEANS

OUTCOMES = ("decided", "repeated", "stand_in", "problem")
STAGES = ("write", "score", "commit")
"""Of an event's time: arrival to acknowledged; its record's time to its answer's; the answer's to being read here."""


class GatewayMetrics:
    """What the gateway shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"assay_gateway_{name}", help_text, labels, registry=registry)

        def gauge(name: str, help_text: str) -> Gauge:
            return Gauge(f"assay_gateway_{name}", help_text, registry=registry)

        self.events = counter("events", "Events answered, by outcome: decided, repeated, stand_in, problem.", "outcome")
        self.responses = counter(
            "responses", "Responses, by HTTP status; those of gRPC by the status of the same problem.", "status"
        )
        self.refused = counter(
            "refused_events", "Events not written, or not known to be: full, stalled, unwritten.", "cause"
        )
        self.repeated = counter("remembered_events", "Events answered from memory, without being written again.")
        self.abandoned = counter(
            "abandoned_events", "Events whose answer did not come within ASSAY_GATEWAY_PENDING_S_MAX."
        )
        self.connections_closed = counter(
            "connections_closed",
            f"Connections closed by the gateway: {CLOSED_MEANS}.",
            "cause",
        )
        self.pending = gauge("pending_events", "Events that wait for their score.")
        self.remembered = gauge("memory_events", "Decisions remembered.")
        self.stalled = gauge("stalled", "Partitions whose events wait for scores that do not come.")
        self.lag = gauge("answers_lag_records", "Records of `answers` that are not read yet.")
        self.keys_age = gauge(
            "oidc_keys_age_seconds", "Since the identity provider's keys were read, or since the start; 0 without one."
        )
        self.latency = BulkHistogram(
            "assay_gateway_answer_seconds",
            "From an event's arrival to its committed decision, stand-ins included.",
            LATENCY_BUCKETS_S,
            registry,
        )
        self.late = counter(
            "late_events", "Events answered more than 50 ms after their deadline, from when the request came."
        )
        self.loop_lag = BulkHistogram(
            "assay_gateway_loop_lag_seconds",
            "How late the event loop comes to what is due, 100 times a second. Requests wait as long to be read.",
            LATENCY_BUCKETS_S,
            registry,
        )
        self.stage = BulkHistogram(
            "assay_gateway_stage_seconds",
            "Where an event's time goes. write: from arrival to acknowledged by the brokers. score: from its record's time to "
            "when the scorer writes its answer. commit: from then to being read here. Needs clocks that agree.",
            LATENCY_BUCKETS_S,
            registry,
            "stage",
        )
        for outcome in OUTCOMES:
            self.events.labels(outcome)
        for cause in ("full", "stalled", "unwritten"):
            self.refused.labels(cause)
        for cause in CLOSED_CAUSES:
            self.connections_closed.labels(cause)
