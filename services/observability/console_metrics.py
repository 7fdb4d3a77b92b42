"""The catalogue of metrics of the console. Labels are bounded: statuses and kinds of actions; never an id or a name."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.web.clients import CLOSED_CAUSES, CLOSED_MEANS


class ConsoleMetrics:
    """What the console shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"assay_console_{name}", help_text, labels, registry=registry)

        self.responses = counter("responses", "HTTP responses, by status.", "status")
        self.actions = counter("actions", "Actions written to `case-actions`, by kind.", "action")
        self.logins = counter("logins", "Logins, by outcome: accepted, refused, throttled.", "outcome")
        self.denied = counter("denied_requests", "Requests refused, by cause: role, token, session, host.", "cause")
        self.connections_closed = counter(
            "connections_closed", f"Connections closed by the console: {CLOSED_MEANS}.", "cause"
        )
        self.refused = counter("refused_records", "Records that the read model could not take in.")
        self.unaudited = counter(
            "unaudited",
            "Actions in the audit trail whose outcome could not be written there; that they were asked for is.",
        )
        self.sessions = Gauge("assay_console_sessions", "Sessions that are open.", registry=registry)
        self.lag = Gauge(
            "assay_console_lag_records", "Records that the read model has not taken in yet.", registry=registry
        )
        for outcome in ("accepted", "refused", "throttled"):
            self.logins.labels(outcome)
        for cause in CLOSED_CAUSES:
            self.connections_closed.labels(cause)
        for cause in ("role", "token", "session", "host"):
            self.denied.labels(cause)
