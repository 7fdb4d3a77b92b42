"""What pages ask the read model: the queue by rank, a search, a case with what is linked to it. Each walks one index."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from schemas import codec
from schemas.case import Case, Mute
from services.console.kept import Kept
from services.console.model import CASES, FINDINGS, MUTES, TERMS, ReadModel, attribute_term

FOUND_MAX = 50
LINKED_MAX = 6
COUNT_MAX = 1000
"""Linked cases are counted up to here."""
COUNTS_AGE_S, COUNTS_AGE_S_MAX = 5.0, 30.0
"""Counting a million cases takes longer than a page may: so old are the numbers above the queue, and at most."""
STATES = ("open", "confirmed", "dismissed", "expired")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cases of the queue, and in which order. assignee: a user, "" for cases of no one, None for all.

    oldest_first: by when they were opened, in place of rank. without: cases to leave out. is_pending: those alone on which a
    decision waits for a second person.
    """

    state: str = "open"
    severity: int | None = None
    assignee: str | None = None
    opened_before_ms: int | None = None
    oldest_first: bool = False
    without: frozenset[str] = frozenset()
    is_pending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """cursor: where the next page begins; None on the last."""

    cases: list[Case]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """Where a case stands: what a row of the queue is marked by."""

    version: int
    state: str
    assignee: str | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """Other cases that share something. count: at most COUNT_MAX, and confirmed of them."""

    what: str
    term: str
    count: int
    cases: list[Case]
    confirmed: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Of open cases. overdue_soon: those that have used three quarters of their time. oldest_ms: when the oldest was opened."""

    waiting: int
    unassigned: int
    escalated: int
    overdue: int
    overdue_soon: int = 0
    oldest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """Cases decided within some time: how many and of how much money."""

    confirmed: int
    confirmed_amount: float
    dismissed: int
    dismissed_amount: float


@dataclass(slots=True)
class Queries:
    """Reads of one database."""

    model: ReadModel
    _counts: Kept[Counts] = field(default_factory=lambda: Kept(COUNTS_AGE_S, COUNTS_AGE_S_MAX))

    def queue(self, wanted: Filter, count: int, cursor: str | None = None) -> Page:
        """The cases of the highest rank: escalated first, then the most money at risk. Raises ValueError for a false cursor."""
        rank = _OLDEST if wanted.oldest_first else _RANK
        query = sa.select(*(column for column, _ in rank), CASES.c.document).where(*_where(wanted))
        if cursor:
            query = query.where(_behind(rank, cursor))
        query = query.order_by(*(column.desc() if falls else column.asc() for column, falls in rank)).limit(count + 1)
        with self.model.engine.connect() as connection:
            rows = connection.execute(query).all()
        last = rows[count - 1] if len(rows) > count else None
        cursor = "~".join(str(_cell(value)) for value in last[:-1]) if last else None
        return Page([codec.read(Case, row.document) for row in rows[:count]], cursor)

    def versions(self, case_ids: Sequence[str]) -> dict[str, Version]:
        """The cases of these ids that there are, as they are now."""
        table = CASES.c
        query = sa.select(table.case_id, table.version, table.state, table.assignee, table.decided_by)
        with self.model.engine.connect() as connection:
            rows = connection.execute(query.where(table.case_id.in_(list(case_ids)))).all()
        return {case_id: Version(*rest) for case_id, *rest in rows}

    def search(self, text: str) -> list[Case]:
        """Cases by a whole id of themselves, their card, payments, places or attributes, or by a card's end as it is shown."""
        term = TERMS.c
        found = sa.select(term.case_id, term.is_open, term.priority).where(term.term == text)
        found = found.order_by(term.is_open.desc(), term.priority.desc(), term.case_id.desc()).limit(FOUND_MAX)
        return self._documents(found)

    def case(self, case_id: str) -> Case | None:
        """The case as its newest record has it."""
        with self.model.engine.connect() as connection:
            document = connection.execute(sa.select(CASES.c.document).where(CASES.c.case_id == case_id)).scalar()
        return None if document is None else codec.read(Case, document)

    def of_card(self, card_id: str) -> list[Case]:
        """The card's cases, the newest first."""
        query = sa.select(CASES.c.document).where(CASES.c.card_id == card_id)
        with self.model.engine.connect() as connection:
            rows = connection.execute(query.order_by(CASES.c.opened_at_ms.desc()).limit(FOUND_MAX)).scalars().all()
        return [codec.read(Case, row) for row in rows]

    def links(self, case: Case) -> list[Link]:
        """Other cases at the same places, or with the same attribute, the rarest first: common ones say least."""
        terms: dict[str, str] = {}
        for alert in case.listed:
            if alert.terminal_id != "-":
                terms.setdefault(alert.terminal_id, "terminal")
            for one in alert.attributes:
                if term := attribute_term(one.name, one.text):
                    terms.setdefault(term, one.words)
        found = [link for term, what in list(terms.items())[:12] if (link := self._link(what, term, case.case_id))]
        return sorted(found, key=lambda link: link.count)

    def _link(self, what: str, term: str, case_id: str) -> Link | None:
        table = TERMS.c
        others = sa.select(table.case_id, table.is_open, table.priority).where(
            table.term == term, table.case_id != case_id
        )
        bounded = others.limit(COUNT_MAX).subquery()
        states = sa.select(CASES.c.state).join(bounded, bounded.c.case_id == CASES.c.case_id).subquery()
        counted = sa.select(states.c.state, sa.func.count()).group_by(states.c.state)
        with self.model.engine.connect() as connection:
            by_state: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
        if not by_state:
            return None
        ranked = others.order_by(table.is_open.desc(), table.priority.desc(), table.case_id.desc())
        shown = term.partition("=")[2] if what != "terminal" else term
        documents = self._documents(ranked.limit(LINKED_MAX))
        return Link(what, shown, sum(by_state.values()), documents, by_state.get("confirmed", 0))

    def mutes(self, ids: Sequence[str]) -> list[Mute]:
        """What is muted of these cards and terminals, once each."""
        query = sa.select(MUTES).where(MUTES.c.muted_id.in_(ids))
        with self.model.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        once = {(row["scope"], row["muted_id"]): row for row in rows}
        return [codec.checked(Mute, {name: row[name] for name in Mute.model_fields}) for row in once.values()]

    def counts(self, overdue_before_ms: int, soon_before_ms: int | None = None) -> Counts:
        """Of the open cases, COUNTS_AGE_S_MAX old at most, and hardly ever more than COUNTS_AGE_S."""
        return self._counts.get(lambda: self._count(overdue_before_ms, soon_before_ms or overdue_before_ms))

    def _count(self, overdue_before_ms: int, soon_before_ms: int) -> Counts:
        table = CASES.c
        is_open = table.state == "open"
        wanted: tuple[Any, ...] = (
            (is_open,),
            (is_open, table.assignee.is_(None)),
            (is_open, table.escalated.is_(sa.true())),
            (is_open, table.opened_at_ms < overdue_before_ms),
            (is_open, table.opened_at_ms < soon_before_ms, table.opened_at_ms >= overdue_before_ms),
        )
        oldest = sa.select(table.opened_at_ms).where(is_open).order_by(table.opened_at_ms).limit(1)
        with self.model.engine.connect() as connection:
            numbers = [
                connection.execute(sa.select(sa.func.count()).select_from(CASES).where(*where)).scalar_one()
                for where in wanted
            ]
            return replace(Counts(*numbers), oldest_ms=connection.execute(oldest).scalar())

    def decided_since(self, since_ms: int) -> Decided:
        """Confirmed and dismissed from then on."""
        table = CASES.c
        query = (
            sa.select(table.state, sa.func.count(), sa.func.sum(table.amount))
            .where(table.decided_at_ms >= since_ms)
            .group_by(table.state)
        )
        with self.model.engine.connect() as connection:
            found = {state: (number, amount) for state, number, amount in connection.execute(query).all()}
        return Decided(*found.get("confirmed", (0, 0.0)), *found.get("dismissed", (0, 0.0)))

    def pending(self) -> int:
        """How many cases have a decision that waits for a second person."""
        query = sa.select(sa.func.count()).select_from(CASES).where(CASES.c.is_pending == sa.true())
        with self.model.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def opened_since(self, since_ms: int) -> int:
        """Cases opened from then on, whatever became of them."""
        query = sa.select(sa.func.count()).select_from(CASES)
        query = query.where(CASES.c.state.in_(STATES), CASES.c.opened_at_ms >= since_ms)
        with self.model.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def findings(self, kind: str) -> list[bytes]:
        """The newest records of the monitor of this kind."""
        query = sa.select(FINDINGS.c.document).where(FINDINGS.c.kind == kind).order_by(FINDINGS.c.finding)
        with self.model.engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def _documents(self, ranked: Any) -> list[Case]:
        """The cases of ranked ids, in their order."""
        ids = ranked.subquery()
        query = sa.select(CASES.c.document).join(ids, ids.c.case_id == CASES.c.case_id)
        query = query.order_by(ids.c.is_open.desc(), ids.c.priority.desc(), ids.c.case_id.desc())
        with self.model.engine.connect() as connection:
            return [codec.read(Case, row) for row in connection.execute(query).scalars()]


_RANK = ((CASES.c.escalated, True), (CASES.c.priority, True), (CASES.c.case_id, True))
_OLDEST = ((CASES.c.opened_at_ms, False), (CASES.c.case_id, False))
"""Columns of an order, and whether they fall."""


def _where(wanted: Filter) -> list[Any]:
    table = CASES.c
    found: list[Any] = [table.state == wanted.state]
    if wanted.severity is not None:
        found.append(table.severity == wanted.severity)
    if wanted.assignee is not None:
        found.append(table.assignee == wanted.assignee if wanted.assignee else table.assignee.is_(None))
    if wanted.opened_before_ms is not None:
        found.append(table.opened_at_ms < wanted.opened_before_ms)
    if wanted.is_pending:
        found.append(table.is_pending == sa.true())
    if wanted.without:
        found.append(table.case_id.not_in(sorted(wanted.without)))
    return found


def _cell(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else repr(value) if isinstance(value, float) else value


def _whole(text: str) -> int:
    """Of 64 bits, which is as far as columns reach. Raises ValueError."""
    number = int(text)
    if number.bit_length() > 63:
        raise ValueError("not a cursor: a number is too large")
    return number


def _behind(rank: Sequence[Any], cursor: str) -> Any:
    """Cases behind the one of the cursor. Raises ValueError."""
    cells = cursor.split("~")
    if len(cells) != len(rank):
        raise ValueError("not a cursor: too many or too few values to unpack")
    kinds: dict[type, Callable[[str], Any]] = {
        sa.Boolean: lambda text: text == "1",
        sa.Float: float,
        sa.BigInteger: _whole,
    }
    columns = [column for column, _ in rank]
    values: list[Any] = [
        sa.bindparam(None, kinds.get(type(column.type), str)(text), column.type)
        for column, text in zip(columns, cells, strict=True)
    ]
    place, here = sa.tuple_(*columns), sa.tuple_(*values)
    return place < here if rank[0][1] else place > here
