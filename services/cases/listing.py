"""What a decision on a case says of a list: a confirmed card is put on it, an overruled confirmation takes it off. Pure."""

from dataclasses import dataclass

from schemas.case import Case, CaseAction
from schemas.lists import ListEntry, entry_problem
from schemas.times import EVENT_TIME_MS_MAX
from services.cases.grouping import Source
from services.cases.rules import refusal


@dataclass(frozen=True, slots=True)
class Listing:
    """Which list, and how long an entry counts behind its decision, ms; None for ever."""

    list_name: str
    keep_ms: int | None = None

    def entry(self, case: Case | None, action: CaseAction | None, source: Source) -> ListEntry | None:
        """The entry of the case's card; None where the decision changes nothing. The same record gives the same entry.

        case: as it was before. action: the decision that is made, see `decision_of`.
        """
        if case is None or action is None or action.action not in ("confirm", "dismiss"):
            return None
        if refusal(case, action, source.timestamp_ms) is not None:
            return None
        removed = action.action == "dismiss"
        if removed and case.state != "confirmed":
            return None
        expires_ms = None if self.keep_ms is None else min(source.timestamp_ms + self.keep_ms, EVENT_TIME_MS_MAX)
        entry = ListEntry(
            list_name=self.list_name,
            field="card_id",
            kind="value",
            value=case.card_id,
            purpose="deny",
            expires_at_ms=expires_ms,
            reason=(action.note or f"case {case.case_id} {action.action}ed")[:500],
            by=action.by[:100],
            source=f"case {case.case_id}",
            written_at_ms=source.timestamp_ms,
            removed=removed,
        )
        return entry if entry_problem(entry) is None else None
