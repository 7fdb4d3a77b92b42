"""What pages ask the read model: the queue by rank, a search, a case with what is linked to it. Each walks one index."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from schemas import codec
from schemas.case import Case, Mute
from services.clock import monotonic_s
from services.console.model import CASES, MUTES, TERMS, ReadModel, attribute_term

FOUND_MAX = 50
LINKED_MAX = 6
COUNT_MAX = 1000
"""Linked cases are counted up to here."""
COUNTS_AGE_S_MAX = 5.0
STATES = ("open", "confirmed", "dismissed", "expired")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cases of the queue. assignee: a user, "" for cases of no one, None for all."""

    state: str = "open"
    severity: int | None = None
    assignee: str | None = None
    opened_before_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """cursor: where the next page begins; None on the last."""

    cases: list[Case]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """Other cases that share something. count: at most COUNT_MAX."""

    what: str
    term: str
    count: int
    cases: list[Case]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of open cases."""

    waiting: int
    unassigned: int
    escalated: int
    overdue: int


@dataclass(slots=True)
class Queries:
    """Reads of one database."""

    model: ReadModel
    _counts: tuple[float, Counts] | None = field(default=None)

    def queue(self, wanted: Filter, count: int, cursor: str | None = None) -> Page:
        """The cases of the highest rank: escalated first, then the most money at risk. Raises ValueError for a false cursor."""
        table = CASES.c
        rank = (table.escalated, table.priority, table.case_id)
        query = sa.select(*rank, table.document).where(table.state == wanted.state)
        if wanted.severity is not None:
            query = query.where(table.severity == wanted.severity)
        if wanted.assignee is not None:
            query = query.where(table.assignee == wanted.assignee if wanted.assignee else table.assignee.is_(None))
        if wanted.opened_before_ms is not None:
            query = query.where(table.opened_at_ms < wanted.opened_before_ms)
        if cursor:
            query = query.where(sa.tuple_(*rank) < sa.tuple_(*(sa.bindparam(None, one) for one in _rank_of(cursor))))
        query = query.order_by(*(column.desc() for column in rank)).limit(count + 1)
        with self.model.engine.connect() as connection:
            rows = connection.execute(query).all()
        last = rows[count - 1] if len(rows) > count else None
        next_cursor = f"{int(last.escalated)}~{last.priority!r}~{last.case_id}" if last else None
        return Page([codec.read(Case, row.document) for row in rows[:count]], next_cursor)

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
        counted = sa.select(sa.func.count()).select_from(others.limit(COUNT_MAX).subquery())
        with self.model.engine.connect() as connection:
            count = connection.execute(counted).scalar_one()
        if not count:
            return None
        ranked = others.order_by(table.is_open.desc(), table.priority.desc(), table.case_id.desc())
        shown = term.partition("=")[2] if what != "terminal" else term
        return Link(what, shown, count, self._documents(ranked.limit(LINKED_MAX)))

    def mutes(self, ids: Sequence[str]) -> list[Mute]:
        """What is muted of these cards and terminals, once each."""
        query = sa.select(MUTES).where(MUTES.c.muted_id.in_(ids))
        with self.model.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        once = {(row["scope"], row["muted_id"]): row for row in rows}
        return [codec.checked(Mute, {name: row[name] for name in Mute.model_fields}) for row in once.values()]

    def counts(self, overdue_before_ms: int) -> Counts:
        """Of the open cases, some seconds old at most: counting a million takes a while."""
        if self._counts is None or monotonic_s() - self._counts[0] > COUNTS_AGE_S_MAX:
            self._counts = monotonic_s(), self._count(overdue_before_ms)
        return self._counts[1]

    def _count(self, overdue_before_ms: int) -> Counts:
        table = CASES.c
        is_open = table.state == "open"
        wanted: tuple[Any, ...] = (
            (is_open,),
            (is_open, table.assignee.is_(None)),
            (is_open, table.escalated.is_(sa.true())),
            (is_open, table.opened_at_ms < overdue_before_ms),
        )
        with self.model.engine.connect() as connection:
            numbers = [
                connection.execute(sa.select(sa.func.count()).select_from(CASES).where(*where)).scalar_one()
                for where in wanted
            ]
        return Counts(*numbers)

    def _documents(self, ranked: Any) -> list[Case]:
        """The cases of ranked ids, in their order."""
        ids = ranked.subquery()
        query = sa.select(CASES.c.document).join(ids, ids.c.case_id == CASES.c.case_id)
        query = query.order_by(ids.c.is_open.desc(), ids.c.priority.desc(), ids.c.case_id.desc())
        with self.model.engine.connect() as connection:
            return [codec.read(Case, row) for row in connection.execute(query).scalars()]


def _rank_of(cursor: str) -> tuple[bool, float, str]:
    escalated, priority, case_id = cursor.split("~")
    return escalated == "1", float(priority), case_id
