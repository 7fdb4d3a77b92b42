"""The read model: tables made of the topics. It can be thrown away; positions in the log are written in the same transaction.

`terms` is what a case can be found by, with the case's rank beside it, so that a search reads an index and sorts nothing.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from schemas import codec
from schemas.case import Case, Mute
from services.errors import AssayError
from services.storage import PRIVATE
from services.text import masked

VERSION = 4
"""Of the tables: a database of another version is made again."""

DEFAULT_FILE = Path(".assay/console.db")
KEYS_MAX = 500
"""Keys in one statement."""

TABLES = sa.MetaData()


class Text(sa.types.TypeDecorator[str]):
    """Text that others chose, within what PostgreSQL takes and SQLite does not ask for: no NUL, and its column's length."""

    impl = sa.String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, _: sa.Dialect) -> str | None:
        """What is written, and what is looked for."""
        return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")[: self.length]


CASES = sa.Table(
    "cases",
    TABLES,
    sa.Column("case_id", Text(30), primary_key=True),
    sa.Column("state", Text(10), nullable=False),
    sa.Column("escalated", sa.Boolean, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("priority", sa.Float, nullable=False),
    sa.Column("amount", sa.Float, nullable=False),
    sa.Column("card_id", Text(256), nullable=False),
    sa.Column("assignee", Text(100)),
    sa.Column("decided_by", Text(100)),
    sa.Column("opened_at_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
    sa.Column("decided_at_ms", sa.BigInteger),
    sa.Column("is_pending", sa.Boolean, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("action_offset", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Index("by_rank", "state", "escalated", "priority", "case_id"),
    sa.Index("by_assignee", "assignee", "state", "escalated", "priority", "case_id"),
    sa.Index("by_severity", "state", "severity", "escalated", "priority", "case_id"),
    sa.Index("by_pending", "is_pending", "state", "escalated", "priority", "case_id"),
    sa.Index("by_opening", "state", "opened_at_ms", "case_id"),
    sa.Index("by_decision", "decided_at_ms", "state", "amount"),
    sa.Index("by_card", "card_id"),
)
TERMS = sa.Table(
    "terms",
    TABLES,
    sa.Column("term", Text(300), nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("priority", sa.Float, nullable=False),
    sa.Column("case_id", Text(30), nullable=False),
    sa.Index("by_term", "term", "is_open", "priority", "case_id"),
    sa.Index("by_case", "case_id"),
)
MUTES = sa.Table(
    "mutes",
    TABLES,
    sa.Column("record_key", Text(600), primary_key=True),
    sa.Column("scope", Text(10), nullable=False),
    sa.Column("muted_id", Text(256), nullable=False),
    sa.Column("until_ms", sa.BigInteger),
    sa.Column("by", Text(100), nullable=False),
    sa.Column("note", Text),
    sa.Index("by_muted", "muted_id"),
)
POSITIONS = sa.Table(
    "positions",
    TABLES,
    sa.Column("topic", Text(260), primary_key=True),
    sa.Column("partition_number", sa.Integer, primary_key=True),
    sa.Column("topic_id", Text(40), nullable=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("followed_at_ms", sa.BigInteger, nullable=False),
)
FINDINGS = sa.Table(
    "findings",
    TABLES,
    sa.Column("finding", Text(300), primary_key=True),
    sa.Column("kind", Text(10), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)
"""The newest of each finding of the monitor: drift of a model, quality of a model at an age, a policy's budget."""
META = sa.Table("meta", TABLES, sa.Column("version", sa.Integer, primary_key=True))

WAITING = sa.Table(
    "waiting_actions",
    sa.MetaData(),
    sa.Column("batch", Text(40), primary_key=True),
    sa.Column("case_id", Text(30), primary_key=True),
    sa.Column("by", Text(100), nullable=False),
    sa.Column("due_at_ms", sa.BigInteger, nullable=False),
    sa.Column("action", sa.LargeBinary, nullable=False),
)
"""Actions that are not written yet, since they can still be taken back. Of no topic, so `clear` leaves them."""

SEVERE, MEDIUM = 0.9, 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """A record of the monitor. name: what it replaces the newest of. document: the record's bytes."""

    name: str
    kind: str
    at_ms: int
    document: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition has been taken in."""

    topic: str
    partition: int
    topic_id: str
    next_offset: int


def severity(case: Case) -> int:
    """3: likely fraud. 2: more likely than not, or both scores are crossed. 1: the rest."""
    likeliest = max((alert.probability for alert in case.listed), default=0.0)
    if likeliest >= SEVERE:
        return 3
    return 2 if likeliest >= MEDIUM or any(len(alert.triggers) > 1 for alert in case.listed) else 1


def attribute_term(name: str, text: str) -> str:
    """An attribute as a term. Of a masked one there is none: it would name others' as well."""
    return "" if text.startswith("***") else f"{name}={text}"[:300]


def terms_of(case: Case) -> set[str]:
    """What the case is found by: whole ids, and the card's end as it is shown."""
    terms = {case.case_id, case.card_id, masked(case.card_id)}
    for alert in case.listed:
        terms |= {alert.transaction_id, alert.terminal_id}
        for attribute in alert.attributes:
            if term := attribute_term(attribute.name, attribute.text):
                terms |= {term, attribute.text}
    return {term for term in terms if term and term != "-"}


class ReadModel:
    """The database. Its methods block: pages call them in threads."""

    def __init__(self, url: str | None) -> None:
        """url: as SQLAlchemy writes it; None for a file. Raises AssayError where it cannot be used."""
        try:
            if url is None:
                DEFAULT_FILE.parent.mkdir(parents=True, exist_ok=True)
                url = f"sqlite:///{DEFAULT_FILE}"
            is_file = url.startswith("sqlite")
            if is_file:
                _keep_private(sa.make_url(url).database)
            pool: dict[str, Any] = {"poolclass": NullPool} if is_file else {"pool_pre_ping": True}
            # errors of a database quote what they were about: whole ids
            self.engine = sa.create_engine(url, hide_parameters=True, **pool)
            if is_file:
                sa.event.listen(self.engine, "connect", _tune)
            self._prepare()
        except (sa.exc.SQLAlchemyError, ModuleNotFoundError, ValueError, TypeError, OSError) as error:
            raise AssayError(
                f"The console's database cannot be used ({type(error).__name__}): check ASSAY_CONSOLE_DATABASE_URL, and that "
                "its driver is installed."
            ) from None

    def _prepare(self) -> None:
        WAITING.metadata.create_all(self.engine)
        inspector = sa.inspect(self.engine)
        if inspector.has_table("meta"):
            with self.engine.connect() as connection:
                if connection.execute(sa.select(META.c.version)).scalar() == VERSION:
                    return
        self.clear()

    def clear(self) -> None:
        """Throw everything away."""
        TABLES.drop_all(self.engine)
        TABLES.create_all(self.engine)
        with self.engine.begin() as connection:
            connection.execute(sa.insert(META).values(version=VERSION))

    def positions(self) -> tuple[list[Position], int | None]:
        """How far each partition was taken in, and when that was last so everywhere, ms since 1970."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(POSITIONS)).all()
        found = [Position(row.topic, row.partition_number, row.topic_id, row.next_offset) for row in rows]
        return found, min((row.followed_at_ms for row in rows), default=None)

    def take(
        self,
        cases: Mapping[str, Case | None],
        mutes: Mapping[str, Mute | None],
        positions: Sequence[Position],
        now_ms: int,
        findings: Sequence[Finding] = (),
    ) -> None:
        """Everything or nothing: records by key, the newest of each (None: deleted), and how far they reach."""
        with self.engine.begin() as connection:
            _replace_findings(connection, findings)
            _replace_cases(connection, cases)
            _delete(connection, MUTES.c.record_key, mutes)
            rows = [{"record_key": key, **mute.model_dump(mode="python")} for key, mute in mutes.items() if mute]
            if rows:
                connection.execute(sa.insert(MUTES), rows)
            for one in positions:
                same = (POSITIONS.c.topic == one.topic, POSITIONS.c.partition_number == one.partition)
                connection.execute(sa.delete(POSITIONS).where(*same))
            if positions:
                connection.execute(sa.insert(POSITIONS), [_position_row(one, now_ms) for one in positions])


def _position_row(one: Position, now_ms: int) -> dict[str, Any]:
    return {
        "topic": one.topic,
        "partition_number": one.partition,
        "topic_id": one.topic_id,
        "next_offset": one.next_offset,
        "followed_at_ms": now_ms,
    }


def _replace_cases(connection: sa.Connection, cases: Mapping[str, Case | None]) -> None:
    _delete(connection, CASES.c.case_id, cases)
    _delete(connection, TERMS.c.case_id, cases)
    kept = [case for case in cases.values() if case is not None]
    if not kept:
        return
    connection.execute(sa.insert(CASES), [_case_row(case) for case in kept])
    terms = [
        {"term": term, "is_open": case.state == "open", "priority": case.priority, "case_id": case.case_id}
        for case in kept
        for term in terms_of(case)
    ]
    connection.execute(sa.insert(TERMS), terms)


def _replace_findings(connection: sa.Connection, findings: Sequence[Finding]) -> None:
    newest = {one.name: one for one in findings}
    _delete(connection, FINDINGS.c.finding, newest)
    if newest:
        rows = [
            {"finding": one.name, "kind": one.kind, "at_ms": one.at_ms, "document": one.document}
            for one in newest.values()
        ]
        connection.execute(sa.insert(FINDINGS), rows)


def _case_row(case: Case) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "state": case.state,
        "escalated": case.escalated,
        "severity": severity(case),
        "priority": case.priority,
        "amount": case.amount,
        "card_id": case.card_id,
        "assignee": case.assignee,
        "decided_by": case.decided_by,
        "opened_at_ms": case.opened_at_ms,
        "changed_at_ms": case.changed_at_ms,
        "decided_at_ms": case.decided_at_ms if case.state in ("confirmed", "dismissed") else None,
        "is_pending": case.pending is not None,
        "version": case.version,
        "action_offset": case.action_offset,
        "document": codec.write(case),
    }


def _delete(connection: sa.Connection, column: Any, keys: Iterable[str]) -> None:
    wanted = list(keys)
    for begin in range(0, len(wanted), KEYS_MAX):
        connection.execute(sa.delete(column.table).where(column.in_(wanted[begin : begin + KEYS_MAX])))


def _keep_private(file: str | None) -> None:
    """A file for its owner alone, as its journal then is, too: it holds whole ids. Raises OSError."""
    if not file or file == ":memory:" or file.startswith("file:"):
        return
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, PRIVATE)
    finally:
        os.close(descriptor)


def _tune(connection: Any, _: Any) -> None:
    """SQLite for one writer and many readers; what is lost in a power cut is read from the log again."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "busy_timeout=10000", "cache_size=-65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
