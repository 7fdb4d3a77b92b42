"""What a page shows: records in words and numbers for people, ids masked. HTML is the templates' alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from schemas.case import Case, CaseDecision
from schemas.person import same_person
from services.cases.rules import VERBS
from services.clock import wall_ms
from services.console.bulk import Batch
from services.console.model import severity
from services.console.payments import Known, hash_of
from services.console.promotions import SUBJECTS
from services.console.queries import Version
from services.console.timeline import Payment
from services.text import masked

HOUR_MS = 3600 * 1000
HERE = Path(__file__).parent
SEVERITIES = {3: "high", 2: "medium", 1: "low"}
TRIGGERS = {"probability": "likely fraud", "anomaly_percentile": "unusual"}
DONE = {
    **VERBS,
    "approve": "approved",
    "reject": "rejected",
    "expire": "expired",
    "assign": "assigned",
    "escalate": "escalated",
    "note": "noted",
}

BUDGET_WORDS = {"alerts": "alerts", "reviews": "reviews", "challenged_good": "good money challenged,"}
CHANNEL_WORDS = {
    "model": {"champion": "decides", "challenger": "scores unseen"},
    "policy": {"champion": "decides", "challenger": "in shadow"},
}
STEP_WORDS = {
    "publish": "published",
    "promote": "promoted",
    "rollback": "rolled back to",
    "withdraw": "withdrew",
}


def environment() -> Environment:
    """The templates: everything is escaped, nothing undefined is passed over."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "money": money,
        "moment": moment,
        "stamp": stamp,
        "span": span,
        "masked": masked,
        "percent": percent,
        "mark": lambda case, batch: mark(case, False, batch),
        "versioned": lambda row: f"{row.case.case_id}~{row.case.version}",
        "figure": figure,
    }
    made.tests["same_person"] = same_person
    made.globals |= {
        "severities": SEVERITIES,
        "triggers": TRIGGERS,
        "done": DONE,
        "words_of_budget": BUDGET_WORDS,
        "words_of_channel": CHANNEL_WORDS,
        "words_of_step": STEP_WORDS,
        "words_of_subject": SUBJECTS,
    }
    return made


def money(amount: float) -> str:
    """1,234.50; without cents from a hundred thousand on."""
    return f"{amount:,.0f}" if abs(amount) >= 100_000 else f"{amount:,.2f}"


def figure(value: float | None) -> str:
    """0.823; a dash where there is nothing to take it of."""
    return "-" if value is None else f"{value:.3f}"


def percent(share: float) -> str:
    """97%; one decimal near the ends, where it matters."""
    value = share * 100
    return f"{value:.1f}%" if 0 < value < 1 or 99 < value < 100 else f"{value:.0f}%"


def moment(at_ms: int) -> str:
    """For people, to the minute."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%d %b %Y, %H:%M}"


def stamp(at_ms: int) -> str:
    """For machines: the datetime of <time>."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def span(length_ms: int) -> str:
    """3 d 4 h, 5 h 10 min, 12 min: two units at most."""
    minutes = max(0, length_ms) // 60_000
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h" if days < 7 else f"{days} d"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


SOON_SHARE = 0.75
"""Of the time that a case may wait: from then on it is marked."""


@dataclass(frozen=True, slots=True)
class Listable:
    """A value of a case that can be put on a list. key: its name in the form. shown: as people may see it."""

    key: str
    field: str
    words: str
    value: str
    shown: str


def listable(case: Case) -> list[Listable]:
    """The card, its places, and the attributes that are shown whole; of a masked one the value is not known here."""
    found = [Listable("card_id", "card_id", "card", case.card_id, masked(case.card_id))]
    places = dict.fromkeys(alert.terminal_id for alert in case.listed if alert.terminal_id != "-")
    found += [Listable(f"terminal_id.{n}", "terminal_id", "terminal", one, one) for n, one in enumerate(places)]
    attributes = dict.fromkeys((one.name, one.words, one.text) for alert in case.listed for one in alert.attributes)
    found += [
        Listable(f"{name}.{n}", name, words, text, text)
        for n, (name, words, text) in enumerate(attributes)
        if text and not text.startswith("***")
    ]
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """A case in a list. overdue: 2 beyond the time that is asked for, 1 near it."""

    case: Case
    severity: int
    waits_ms: int
    overdue: int

    @property
    def why(self) -> str:
        """The strongest reason."""
        return self.case.reasons[0].text if self.case.reasons else ""


def rows(cases: Sequence[Case], sla_h: float) -> list[Row]:
    """As lists show them."""
    now_ms = wall_ms()
    return [_row(case, now_ms, sla_h * HOUR_MS) for case in cases]


def _row(case: Case, now_ms: int, sla_ms: float) -> Row:
    waits_ms = now_ms - case.opened_at_ms
    overdue = 0 if case.state != "open" else 2 if waits_ms > sla_ms else 1 if waits_ms > sla_ms * SOON_SHARE else 0
    return Row(case, severity(case), waits_ms, overdue)


def mark(case: Case | Version | None, changed: bool, batch: Batch | None) -> str:
    """What a row of a queue that stands on a screen should say by now; empty where it is as it was."""
    if batch is not None:
        return f"{batch.by}: {'being written' if batch.is_writing else 'about to ' + batch.verb}"
    if case is None:
        return "forgotten"
    if not changed:
        return ""
    if case.state != "open":
        return f"{case.state} by {case.decided_by}" if case.decided_by else case.state
    return f"with {case.assignee}" if case.assignee else "changed"


def happened(case: Case) -> list[CaseDecision]:
    """The history, the newest first."""
    return list(reversed(case.history))


def payments(cases: Sequence[Case], known: Sequence[Known] = ()) -> list[Payment]:
    """A card's payments, the oldest first: the alerts of its cases with all that they say, and what else is known of it."""
    found = {
        hash_of(alert.transaction_id): Payment(
            alert.event_time_ms,
            alert.probability,
            alert.anomaly_percentile,
            alert.amount,
            alert.currency,
            alert.terminal_id,
            case.case_id,
        )
        for case in cases
        for alert in case.listed
    }
    for one in known:
        plain = Payment(one.event_time_ms, one.probability, one.anomaly_percentile, is_alert=one.is_alert)
        found.setdefault(one.payment, plain)
    return sorted(found.values(), key=lambda one: one.event_time_ms)


def currencies(case: Case) -> str:
    """The one currency of its alerts; empty where there are several or none, for which no sum can be named."""
    found = {alert.currency for alert in case.listed if alert.currency}
    return found.pop() if len(found) == 1 else ""


def shown_case(case: Case) -> dict[str, Any]:
    """The fields that every page of a case shows, its ids masked."""
    return {"card": masked(case.card_id), "currency": currencies(case)}
