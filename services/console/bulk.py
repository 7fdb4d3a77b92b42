"""Actions on many cases at once. They wait some seconds before they are written, and for so long can be taken back.

A label cannot be taken back from a topic, so undo is before the log, not behind it. What waits is in the database: a process
that dies leaves it for the next; what was written before it died is known by the case's history and not written again.
"""

import asyncio
import contextlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from schemas import codec
from schemas.case import Case, CaseAction
from services.cases.rules import VERBS, standing, waiting
from services.clock import wall_ms
from services.console.model import WAITING, ReadModel
from services.console.queries import Queries
from services.console.writer import Result
from services.engine.tables import why_ended

log = structlog.get_logger(__name__)

CASES_MAX = 200
"""In one batch."""
TOGETHER_MAX = 16
LOOK_S = 0.5
FINISH_S_MAX = 15.0
AGAIN_MS = 5_000
"""After Kafka did not take it."""
REMEMBERED_MAX = 500
"""Batches whose outcome is remembered, so that their page can show it."""


class Writer(Protocol):
    """Writes one action, and waits for what comes of it. Raises UnwrittenError."""

    async def act(self, action: CaseAction) -> Result:
        """The case after it."""


@dataclass(frozen=True, slots=True)
class NotDone:
    """A case that stays as it was, and why, in words."""

    case_id: str
    why: str


@dataclass(slots=True)
class Batch:
    """Actions of one person on many cases. is_undone: taken back, nothing was written.

    done, asked, not_done: once they were written; asked: decisions that wait for a second person now.
    """

    name: str
    by: str
    verb: str
    due_at_ms: int
    actions: list[CaseAction]
    is_writing: bool = False
    is_undone: bool = False
    is_retried: bool = False
    done: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    not_done: list[NotDone] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether everything of it was written or taken back."""
        return self.is_undone or self.settled == len(self.actions)

    @property
    def settled(self) -> int:
        """How many of them are over."""
        return len(self.done) + len(self.asked) + len(self.not_done)

    @property
    def case_ids(self) -> list[str]:
        """Its cases."""
        return [action.case_id or "" for action in self.actions]


class Bulk:
    """The batches of this console. All of it on one event loop: between two awaits nothing changes."""

    def __init__(self, model: ReadModel, queries: Queries, writer: Writer, undo_s: float) -> None:
        self._model, self._queries, self._writer = model, queries, writer
        self._undo_ms = round(undo_s * 1000)
        self._batches: OrderedDict[str, Batch] = OrderedDict()
        self._running: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Take over what waited when the last process ended, and begin to write what is due."""
        for batch in await asyncio.to_thread(_read, self._model):
            self._batches[batch.name] = batch
        self._running = asyncio.create_task(self._run())

    @property
    def ended(self) -> str | None:
        """Why what is due is written no more; None while it is."""
        return None if self._stopping.is_set() else why_ended("What writes actions on many cases", self._running)

    async def finish(self) -> None:
        """Write what waits: who closes the console has not taken it back. What takes too long is left for the next process."""
        self._stopping.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._write_all(), FINISH_S_MAX)

    async def _write_all(self) -> None:
        if self._running is not None:
            await self._running
        for batch in [one for one in self._batches.values() if not one.is_over]:
            await self._write(batch)

    async def add(self, by: str, verb: str, actions: Sequence[CaseAction]) -> Batch:
        """Let them wait. Kept before this returns."""
        batch = Batch(secrets.token_urlsafe(9), by, verb, wall_ms() + self._undo_ms, list(actions))
        await asyncio.to_thread(_insert, self._model, batch)
        self._batches[batch.name] = batch
        while len(self._batches) > REMEMBERED_MAX and next(iter(self._batches.values())).is_over:
            self._batches.popitem(last=False)
        return batch

    def of(self, name: str, by: str) -> Batch | None:
        """Someone's own batch."""
        batch = self._batches.get(name)
        return batch if batch is not None and batch.by == by else None

    def waiting(self) -> dict[str, Batch]:
        """What waits or is being written, by case."""
        return {case_id: batch for batch in self._batches.values() if not batch.is_over for case_id in batch.case_ids}

    async def undo(self, batch: Batch) -> bool:
        """Take it back; False where it is being written, or was."""
        if batch.is_writing or batch.is_over:
            return False
        batch.is_undone = True
        await asyncio.to_thread(_delete, self._model, batch.name, batch.case_ids)
        return True

    async def write_now(self, batch: Batch) -> None:
        """Do not wait any longer."""
        await self._write(batch)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            for batch in [one for one in self._batches.values() if not one.is_over and one.due_at_ms <= wall_ms()]:
                await self._write(batch)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_S)

    async def _write(self, batch: Batch) -> None:
        if batch.is_writing or batch.is_over:
            return
        batch.is_writing = True
        settled = {*batch.done, *batch.asked, *(one.case_id for one in batch.not_done)}
        left = [action for action in batch.actions if action.case_id not in settled]
        for begin in range(0, len(left), TOGETHER_MAX):
            part = left[begin : begin + TOGETHER_MAX]
            outcomes = await asyncio.gather(*(self._one(batch, action) for action in part), return_exceptions=True)
            ids = [action.case_id or "" for action, found in zip(part, outcomes, strict=True) if found is None]
            failed = next((found for found in outcomes if found is not None), None)
            try:
                await asyncio.to_thread(_delete, self._model, batch.name, ids)
            except sa.exc.SQLAlchemyError as error:  # what was written is known by the case's history
                failed = failed or error
            if failed is not None:  # it waits in the database, so it is written later
                batch.is_writing, batch.is_retried, batch.due_at_ms = False, True, wall_ms() + AGAIN_MS
                log.error("console.bulk_unwritten", error=type(failed).__name__)
                return

    async def _one(self, batch: Batch, action: CaseAction) -> None:
        assert action.case_id is not None
        case = await asyncio.to_thread(self._queries.case, action.case_id)
        if case is None:
            batch.not_done.append(NotDone(action.case_id, "it is forgotten"))
            return
        if _was_written(case, action):
            (batch.asked if _asks(case, action) else batch.done).append(action.case_id)
            return
        result = await self._writer.act(action)
        if result.case is None:
            batch.not_done.append(NotDone(action.case_id, "written, not taken in yet"))
        elif result.refused:
            batch.not_done.append(NotDone(action.case_id, why_not(result.case, action)))
        elif _asks(result.case, action):
            batch.asked.append(action.case_id)
        else:
            batch.done.append(action.case_id)


def why_not(case: Case, action: CaseAction) -> str:
    """What stands against it."""
    if action.action in ("approve", "reject"):
        if case.pending is None or case.pending.offset != action.request_offset:
            return "no longer waiting for that decision"
        return f"{waiting(case)}: another person has to approve it"
    if action.action not in VERBS:
        return f"being worked by {case.assignee}"
    return standing(case) if case.pending is None else waiting(case)


def _asks(case: Case, action: CaseAction) -> bool:
    """Whether the action only asked for a decision, which waits for a second person."""
    return action.action in VERBS and case.pending is not None


def _was_written(case: Case, action: CaseAction) -> bool:
    """Whether the history holds it: the process before died between writing it and forgetting that it waits."""
    seen = action.case_version or 0
    return any(
        line.version > seen
        and (
            (line.action, line.by, line.note, line.assignee) == (action.action, action.by, action.note, action.assignee)
            or (action.action == "approve" and line.approved_by == action.by)
        )
        for line in case.history
    )


def _insert(model: ReadModel, batch: Batch) -> None:
    rows: list[dict[str, Any]] = [
        {
            "batch": batch.name,
            "case_id": action.case_id,
            "by": batch.by,
            "due_at_ms": batch.due_at_ms,
            "action": codec.write(action),
        }
        for action in batch.actions
    ]
    with model.engine.begin() as connection:
        connection.execute(sa.insert(WAITING), rows)


def _delete(model: ReadModel, name: str, case_ids: Iterable[str]) -> None:
    ids = list(case_ids)
    if ids:
        with model.engine.begin() as connection:
            connection.execute(sa.delete(WAITING).where(WAITING.c.batch == name, WAITING.c.case_id.in_(ids)))


def _read(model: ReadModel) -> list[Batch]:
    found: dict[str, Batch] = {}
    with model.engine.connect() as connection:
        for row in connection.execute(sa.select(WAITING).order_by(WAITING.c.due_at_ms, WAITING.c.case_id)):
            action = codec.read(CaseAction, row.action)
            batch = found.setdefault(row.batch, Batch(row.batch, row.by, action.action, row.due_at_ms, []))
            batch.actions.append(action)
    return list(found.values())
