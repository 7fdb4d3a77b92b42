"""Stage 2: alerts and actions into the tables. Each is taken in once, however often the log repeats it."""

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from schemas import codec
from schemas.alert import Alert
from schemas.case import Case, CaseAction, Mute, MuteScope
from schemas.label import Label, Verdict
from services.cases.grouping import Source, decided, joined, opened
from services.cases.rules import SecondPerson, decision_of, waited_ms

_CASE_ID = re.compile(r"([0-9]{1,9})-[0-9]{1,18}", re.ASCII)
_MUTE_KEY = re.compile(r"([0-9]{1,9}):(?:card|terminal):[^\x00-\x1f\x7f-\x9f]{1,64}", re.ASCII)

Table = MutableMapping[bytes, bytes]

VERDICTS: dict[str, Verdict] = {"confirm": "fraud", "dismiss": "legitimate"}


@dataclass(frozen=True, slots=True)
class Limits:
    """window_ms: of one case, in event time. expire_ms, keep_ms: since a case's last change was taken in.

    second: which decisions need a second person; None: none does.
    """

    window_ms: int
    expire_ms: int
    keep_ms: int
    second: SecondPerson | None = None


@dataclass(slots=True)
class Desk:
    """The cases and mutes of the partitions that this process owns.

    cases: by case id. mutes: by partition, scope and id. Both are Faust tables, or dicts in tests; the rest is made of them.
    """

    cases: Table
    mutes: Table
    limits: Limits
    _newest: dict[str, Case] = field(default_factory=dict)
    _earlier: dict[str, Case] = field(default_factory=dict)

    def recover(self) -> None:
        """After the tables were filled from their topics, or a partition came or went."""
        self._newest.clear()
        self._earlier.clear()
        for payload in self.cases.values():
            self._enter(codec.read(Case, payload))

    @property
    def open_cases(self) -> int:
        """Cases in state open."""
        return sum(case.state == "open" for case in self._all())

    def alert(self, alert: Alert, source: Source) -> Case | None:
        """Take in one alert: the case it opened or joined; None where it was known, or is muted."""
        newest = self._newest.get(alert.card_id)
        if newest is not None and self._known(newest, source):
            return None
        if self.muted(alert, source):
            return None
        if newest is None or alert.event_time_ms >= newest.window_end_ms:
            case = opened(alert, source, self.limits.window_ms)
        else:
            case = joined(newest, alert, source)
        self._put(case)
        return case

    def muted(self, alert: Alert, source: Source) -> bool:
        """Whether the alert's card or terminal is muted at the alert's own time."""
        scopes: tuple[tuple[MuteScope, str], ...] = (("card", alert.card_id), ("terminal", alert.terminal_id))
        for scope, muted_id in scopes:
            payload = self.mutes.get(mute_key(source.partition, scope, muted_id))
            if payload:
                until_ms = codec.read(Mute, payload).until_ms
                if until_ms is None or source.timestamp_ms < until_ms:
                    return True
        return False

    def labels(self, action: CaseAction, source: Source) -> list[Label]:
        """The labels that an analyst's decision gives to the listed payments. Written before `act`: a crash repeats them."""
        case, decision = self._case(action, source), self.decision_of(action, source)
        if case is None or decision is None:
            return []
        verdict = VERDICTS[decision.action]
        return [
            Label(
                transaction_id=alert.transaction_id,
                verdict=verdict,
                source="analyst",
                labelled_at_ms=source.timestamp_ms,
                card_id=case.card_id,
                terminal_id=alert.terminal_id,
                event_time_ms=alert.event_time_ms,
            )
            for alert in case.listed
        ]

    def decision_of(self, action: CaseAction, source: Source) -> CaseAction | None:
        """The decision that the action makes, as long as it was not taken in: its own, or the one that it approves."""
        case = self._case(action, source)
        return None if case is None else decision_of(case, action, source.timestamp_ms, self.limits.second)

    def case_of(self, action: CaseAction, source: Source) -> Case | None:
        """The case as it is before the action; None where there is none, or the action was taken in before."""
        return self._case(action, source)

    def act(self, action: CaseAction, source: Source) -> Case | None:
        """Take in one action: the case it changed, if any."""
        if action.action in ("mute", "unmute"):
            self._mute(action, source)
            return None
        case = self._case(action, source)
        if case is None:
            return None
        if action.action == "forget":
            if case.state != "open" and action.case_version in (None, case.version):
                self.cases.pop(case.case_id.encode())
                self._earlier.pop(case.case_id, None)
                if self._newest.get(case.card_id) is case:
                    del self._newest[case.card_id]
            return None
        changed = decided(case, action, source, self.limits.second)
        self._put(changed)
        return changed

    def due(self, now_ms: int) -> Iterator[tuple[Case, CaseAction]]:
        """Expiry and forgetting, written as actions, so that they too are in the log."""
        for case in self._all():
            number, version = case.case_id, case.version
            if case.state == "open" and waited_ms(case, now_ms) > self.limits.expire_ms:
                note = "nobody decided in time"
                yield case, CaseAction(action="expire", case_id=number, by="cases", note=note, case_version=version)
            elif case.state != "open" and waited_ms(case, now_ms) > self.limits.keep_ms:
                yield case, CaseAction(action="forget", case_id=number, by="cases", case_version=version)
            elif case.pending is not None and now_ms >= case.pending.expires_at_ms:
                note, offset = "nobody approved it in time", case.pending.offset
                yield case, CaseAction(action="reject", case_id=number, by="cases", note=note, request_offset=offset)

    def _case(self, action: CaseAction, source: Source) -> Case | None:
        """The case an action is for; None where there is none, or the action was taken in before."""
        payload = self.cases.get((action.case_id or "").encode())
        if not payload:
            return None
        case = codec.read(Case, payload)
        newest = self._newest.get(case.card_id)
        if newest is not None and newest.case_id == case.case_id:
            case = newest
        return None if source.offset <= case.action_offset else case

    def _mute(self, action: CaseAction, source: Source) -> None:
        assert action.scope is not None, "the schema asks for it"
        assert action.muted_id is not None, "the schema asks for it"
        key = mute_key(source.partition, action.scope, action.muted_id)
        if action.action == "mute":
            mute = Mute(
                scope=action.scope, muted_id=action.muted_id, until_ms=action.until_ms, by=action.by, note=action.note
            )
            self.mutes[key] = codec.write(mute)
        elif key in self.mutes:
            self.mutes.pop(key)

    @staticmethod
    def _known(newest: Case, source: Source) -> bool:
        """A card's alerts are on one partition, in order: those before the newest one taken in were taken in."""
        return newest.case_id.startswith(f"{source.partition}-") and source.offset <= newest.alert_offset

    def _put(self, case: Case) -> None:
        self.cases[case.case_id.encode()] = codec.write(case)
        self._enter(case)

    def _enter(self, case: Case) -> None:
        newest = self._newest.get(case.card_id)
        if newest is None or newest.case_id == case.case_id or case.alert_offset > newest.alert_offset:
            if newest is not None and newest.case_id != case.case_id:
                self._earlier[newest.case_id] = newest
            self._newest[case.card_id] = case
        else:
            self._earlier[case.case_id] = case

    def _all(self) -> Iterator[Case]:
        yield from self._newest.values()
        yield from self._earlier.values()


def partition_of(case_id: str) -> int:
    """The partition of a case and of actions for it. Raises ValueError for an invalid case id."""
    found = _CASE_ID.fullmatch(case_id)
    if found is None:
        raise ValueError("not a case id")
    return int(found[1])


def case_problem(message: Any) -> str | None:
    """Why a record of `cases` cannot be used, if so."""
    case = codec.read(Case, message.value)
    if not _CASE_ID.fullmatch(case.case_id):
        return "its case_id is not partition and offset"
    if case.case_id.encode() != message.key:
        return "its key is not its case_id"
    return None if partition_of(case.case_id) == message.partition else "it is not of its partition"


def mute_problem(message: Any) -> str | None:
    """Why a record of `case-mutes` cannot be used, if so."""
    mute = codec.read(Mute, message.value)
    fits = mute_key(message.partition, mute.scope, mute.muted_id) == message.key
    return None if fits else "its key is not its partition, scope and id"


def case_of(message: Any) -> Case:
    """A record of `cases`. Raises RejectedError where the case service would not take it either."""
    if problem := case_problem(message):
        raise codec.SchemaError(problem)
    return codec.read(Case, message.value)


def mute_of(message: Any) -> Mute:
    """A record of `case-mutes`. Raises RejectedError, as `case_of` does."""
    if problem := mute_problem(message):
        raise codec.SchemaError(problem)
    return codec.read(Mute, message.value)


def deletion_problem(message: Any, *, of_mute: bool = False) -> str | None:
    """Why a record without a value deletes nothing of `cases`, or of `case-mutes`."""
    found = (_MUTE_KEY if of_mute else _CASE_ID).fullmatch((message.key or b"").decode(errors="replace"))
    return None if found and int(found[1]) == message.partition else "its key is none of its partition's"


def mute_key(partition: int, scope: MuteScope, muted_id: str) -> bytes:
    """Each partition has its own entry: a terminal's alerts are on all of them."""
    return f"{partition}:{scope}:{muted_id}".encode()
