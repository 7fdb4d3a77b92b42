"""What a monitor watches: payments, or applications for credit. Each has topics, a group and a process of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.base import Message
from schemas.credit_label import CREDIT_LABEL_AGE_DAYS_MAX, CreditLabel
from schemas.label import LABEL_AGE_DAYS_MAX, Label, card_number_problem
from schemas.monitor import Evidence
from schemas.topics import (
    CONTROL,
    CREDIT_DECISIONS,
    CREDIT_LABELS,
    CREDIT_MODEL_REFERENCES,
    CREDIT_MONITOR,
    CREDIT_MONITOR_EVIDENCE,
    CREDIT_MONITOR_LEDGER,
    CREDIT_MONITOR_WINDOWS,
    CREDIT_SCORING_METRICS,
    DECISIONS,
    LABELS,
    MODEL_REFERENCES,
    MONITOR,
    MONITOR_BUDGETS,
    MONITOR_EVIDENCE,
    MONITOR_LEDGER,
    MONITOR_WINDOWS,
    SCORING_METRICS,
    Topic,
)
from services.monitor.evidence import (
    DecidedApplication,
    RecordedDecision,
    of_application,
    of_credit_label,
    of_decision,
    of_label,
)
from services.monitor.ledger import DAY_MS
from services.monitor.quality import OF_APPLICATIONS, OF_PAYMENTS, Reading
from services.observability.low_rate_metrics import APPLICATIONS, PAYMENTS, Words


@dataclass(frozen=True, slots=True)
class Watched:
    """The topics of one product, and how its decisions and labels are read.

    label_problem: why a label is not taken in, if so; it is told whether ids other than the subject's are looked at. kept_ms:
    how long a decision waits for its label. budgets: whether policies have some.
    """

    words: Words
    sums: Topic
    references: Topic
    windows: Topic
    reports: Topic
    decisions: Topic
    labels: Topic
    evidence: Topic
    ledger: Topic
    decision: type[Message]
    of_decision: Callable[[Any], Sequence[Evidence]]
    label: type[Message]
    of_label: Callable[[Any, int, int], Evidence]
    label_problem: Callable[[Any, bool], str | None]
    kept_ms: int
    reading: Reading
    budgets: bool

    @property
    def reads(self) -> tuple[Topic, ...]:
        """Every topic that it reads."""
        own = (self.sums, self.references, self.decisions, self.labels, self.evidence, self.ledger, self.windows)
        return (*own, MONITOR_BUDGETS) if self.budgets else own

    @property
    def writes(self) -> tuple[Topic, ...]:
        """Every topic that it writes."""
        own = (self.evidence, self.ledger, self.windows, self.reports)
        return (*own, MONITOR_BUDGETS, CONTROL) if self.budgets else own


OF_FRAUD = Watched(
    words=PAYMENTS,
    sums=SCORING_METRICS,
    references=MODEL_REFERENCES,
    windows=MONITOR_WINDOWS,
    reports=MONITOR,
    decisions=DECISIONS,
    labels=LABELS,
    evidence=MONITOR_EVIDENCE,
    ledger=MONITOR_LEDGER,
    decision=RecordedDecision,
    of_decision=of_decision,
    label=Label,
    of_label=of_label,
    label_problem=lambda label, scan_ids: card_number_problem(label, scan_ids=scan_ids),
    kept_ms=LABEL_AGE_DAYS_MAX * DAY_MS,
    reading=OF_PAYMENTS,
    budgets=True,
)

OF_CREDIT = Watched(
    words=APPLICATIONS,
    sums=CREDIT_SCORING_METRICS,
    references=CREDIT_MODEL_REFERENCES,
    windows=CREDIT_MONITOR_WINDOWS,
    reports=CREDIT_MONITOR,
    decisions=CREDIT_DECISIONS,
    labels=CREDIT_LABELS,
    evidence=CREDIT_MONITOR_EVIDENCE,
    ledger=CREDIT_MONITOR_LEDGER,
    decision=DecidedApplication,
    of_decision=of_application,
    label=CreditLabel,
    of_label=of_credit_label,
    label_problem=lambda label, scan_ids: None,
    kept_ms=CREDIT_LABEL_AGE_DAYS_MAX * DAY_MS,
    reading=OF_APPLICATIONS,
    budgets=False,
)
