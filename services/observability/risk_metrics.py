"""The catalogue of metrics of what is scored: money, scores, alerts. Beside what every processor shows (`metrics`)."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.observability.histogram import BulkHistogram

PROBABILITY_BUCKETS = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
PERCENTILE_BUCKETS = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0)
EVENT_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0)


class RiskMetrics:
    """Metrics of the scores. Labels are bounded by the bundle: its features, its outcomes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"assay_{name}", help_text, labels, registry=registry)

        self.amount = counter(
            "amount",
            "Amounts scored, in main units, whatever the currency: pass, alert, let_through (the control group).",
            "outcome",
        )
        self.reasons = counter("alert_reasons", "Alerts, by the feature that is their strongest reason.", "feature")
        self.without_reasons = counter(
            "alerts_without_reasons", "Alerts of a storm, beyond those that are given reasons.", "partition"
        )
        self.triggers = counter("alert_triggers", "Thresholds crossed by alerts; one alert may cross both.", "trigger")
        self.budget = Gauge(
            "assay_alert_budget_share",
            "Alerts a payment that the active bundle was made for.",
            ["bundle"],
            registry=registry,
        )
        self.probability = BulkHistogram(
            "assay_probability", "Probabilities of fraud scored.", PROBABILITY_BUCKETS, registry
        )
        self.percentile = BulkHistogram(
            "assay_anomaly_percentile",
            "Percentiles scored: the reconstruction error among legitimate payments.",
            PERCENTILE_BUCKETS,
            registry,
        )
        self.event_latency = BulkHistogram(
            "assay_event_latency_seconds",
            "From the payment itself (event time) to its committed score.",
            EVENT_BUCKETS_S,
            registry,
        )
        self.policy = Gauge(
            "assay_policy",
            "1 for each policy by name, version and digest: the one that decides (policy), one beside it (shadow_policy).",
            ["policy", "channel"],
            registry=registry,
        )
        self.actions = counter(
            "actions", "Payments by what the policy says is to be done: approve, challenge, review, decline.", "action"
        )
        self.shadow_changes = counter(
            "shadow_policy_changes",
            "Payments, or applications, of which the policy in shadow says another action than the one that decides.",
        )
        self.rule_hits = counter(
            "rule_hits",
            "Payments, or applications for credit, of which a rule of the policy holds, by rule and its state: on, shadow.",
            "rule",
            "state",
        )
