"""The catalogue of metrics of the low-rate services, beside what every processor shows (`metrics`).

Labels are bounded: models, features, states; never a case, a card or a transaction.
"""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge


class CaseMetrics:
    """What the case service shows. Counters count what this process did, repetitions after a restart included."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"assay_{name}", help_text, labels, registry=registry)

        self.open_cases = Gauge("assay_cases_open", "Cases in state open.", registry=registry)
        self.changes = counter(
            "case_changes",
            "Records written to `cases`, by what they changed; refused: a decision that changed nothing.",
            "change",
        )
        self.muted = counter("muted_alerts", "Alerts of muted cards and terminals, which made no case.")
        self.repeated = counter("repeated_alerts", "Alerts that were taken in before, and ignored.")
        self.unknown = counter("unmatched_case_actions", "Actions for a case that is not known, or taken in before.")
        self.webhook = counter("webhook_deliveries", "Cases posted, by outcome: taken, undelivered.", "outcome")


@dataclass(frozen=True, slots=True)
class Words:
    """What a monitor watches, as its metrics say it. prefix: of their names, so that no panel adds one product to another."""

    prefix: str
    many: str
    bad: str
    alert_rate: str
    agreement: str


PAYMENTS = Words(
    "",
    "payments",
    "fraud",
    "Alerts a score in the newest window.",
    "Of the payments that champion or challenger alerted, those that both did.",
)
APPLICATIONS = Words(
    "credit_",
    "applications",
    "default",
    "Applications not approved, of those scored in the newest window.",
    "Of the applications that champion or challenger did not approve, those that neither approved.",
)


class MonitorMetrics:
    """What a monitor shows: the newest report of each model."""

    def __init__(self, registry: CollectorRegistry, words: Words = PAYMENTS) -> None:
        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            return Gauge(f"assay_{words.prefix}{name}", help_text, labels, registry=registry)

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"assay_{words.prefix}{name}", help_text, labels, registry=registry)

        many = words.many
        self.psi = gauge("drift_psi", "Population stability index against the bundle's reference.", "model", "name")
        self.ks = gauge("drift_ks", "Kolmogorov-Smirnov distance to the bundle's reference.", "model", "name")
        self.drifted = gauge("drifted_distributions", "How many are above the limit in the newest window.", "model")
        self.windows = counter("drift_windows", "Windows reported, by whether anything drifted.", "model", "drifted")
        self.alert_rate = gauge("alert_rate", words.alert_rate, "model")
        self.agreement = gauge("challenger_agreement", words.agreement, "model", "challenger")
        self.sums = counter("partial_sums", "Records of partial sums added up.")
        self.unreferenced = counter("unreferenced_sums", "Sums of a model whose reference is not known, not compared.")
        self.quality = gauge(
            "quality",
            f"Delayed figures of the newest report, by age of the {many} in days: precision, recall, roc_auc, "
            f"average_precision, brier, calibration_error, passed_bad_rate ({words.bad} among what was passed).",
            "model",
            "age_days",
            "figure",
        )
        self.labelled = gauge(
            f"labelled_{many}", f"Recorded {many} with a label, by their age in days.", "model", "age_days"
        )
        self.ledger = gauge(f"ledger_{many}", f"{many.capitalize()} remembered for their labels.")
        self.forgotten = counter(
            f"forgotten_ledger_{many}", f"{many.capitalize()} that made room for newer ones too early."
        )
        self.rule_precision = gauge(
            "rule_precision",
            f"Of the {many} of which a rule holds the share that labels found to be {words.bad}, by their age in days.",
            "rule",
            "state",
            "age_days",
        )


class BudgetMetrics:
    """What the monitor of payments shows of the budget of each policy line."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            return Gauge(f"assay_{name}", help_text, labels, registry=registry)

        self.budget_per_day = gauge("budget_per_day", "What the policy of a line may use a day.", "line")
        self.budget_used = gauge("budget_used", "What it has used of that today, by the payments' own time.", "line")
        self.budget_strictness = gauge(
            "budget_strictness",
            "Where its thresholds are between their bounds: 0 at the lowest, 1 at the highest.",
            "line",
        )
        self.budget_threshold = gauge("budget_threshold", "Where the budget has put a threshold.", "line", "score")
        self.budget_moves = Counter(
            "assay_budget_moves", "Commands that moved the thresholds of a line.", ["line"], registry=registry
        )

    def forget_budget(self, line: str) -> None:
        """Show nothing more of a line's budget."""
        for shown in (self.budget_per_day, self.budget_used, self.budget_strictness, self.budget_threshold):
            shown.remove_by_labels({"line": line})
