"""A console without Kafka: its real pages, gate and database, over cases made by the case service's own functions."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from schemas.case import Case, CaseAction, Mute
from schemas.lists import ListEntry
from services.cases.grouping import Source, decided, joined, opened
from services.clock import wall_ms
from services.console.app import application
from services.console.model import ReadModel
from services.console.pages import environment
from services.console.queries import Queries
from services.console.routes import TABLE, Desk
from services.console.server import serve
from services.console.sessions import Sessions
from services.console.users import Users
from services.console.web import Gate
from services.console.writer import Result
from services.observability.console_metrics import ConsoleMetrics
from services.settings.console import ConsoleSettings

HOUR_MS = 3_600_000


def case_of(alerts: Sequence[Any], offset: int, age_ms: int = HOUR_MS) -> Case:
    """The case that the service makes of a card's alerts."""
    at_ms = wall_ms() - age_ms
    case = opened(alerts[0], Source(0, offset, at_ms, at_ms), 24 * HOUR_MS)
    for turn, one in enumerate(alerts[1:], 1):
        case = joined(case, one, Source(0, offset + turn, at_ms + turn * 60_000, at_ms))
    return case


@dataclass
class LocalWriter:
    """Takes actions in at once, as the case service does."""

    model: ReadModel
    queries: Queries
    offsets: Any = field(default_factory=count)
    entries: list[ListEntry] = field(default_factory=list)

    async def act(self, action: CaseAction) -> Result:
        """The case after it."""
        case = self.queries.case(action.case_id or "")
        assert case is not None
        after = decided(case, action, Source(0, next(self.offsets), wall_ms(), wall_ms()))
        self.model.take({after.case_id: after}, {}, [], wall_ms())
        return Result(after, after.history[-1].refused)

    async def mute(self, action: CaseAction) -> None:
        """On or off."""
        fields = action.model_dump(include={"scope", "muted_id", "until_ms", "by", "note"})
        mute = Mute(**fields) if action.action == "mute" else None
        self.model.take({}, {f"0:{action.scope}:{action.muted_id}": mute}, [], wall_ms())

    async def enter(self, entry: ListEntry) -> None:
        """Kept for the test to see."""
        self.entries.append(entry)


@dataclass
class Stand:
    """What runs."""

    url: str
    desk: Desk
    gate: Gate
    writer: LocalWriter


@contextmanager
def running(directory: Path, users_file: Path, cases: Sequence[Case], **settings: Any) -> Iterator[Stand]:
    """The console on a free port of this machine."""
    chosen = ConsoleSettings(port=0, users_file=users_file, **settings)
    model = ReadModel(f"sqlite:///{directory}/console.db")
    model.take({case.case_id: case for case in cases}, {}, [], wall_ms())
    queries, registry = Queries(model), CollectorRegistry()
    writer = LocalWriter(model, queries)
    metrics = ConsoleMetrics(registry)
    users = Users(users_file)
    gate = Gate(chosen, users, metrics, Sessions(36_000, 3_600))
    desk = Desk(chosen, queries, writer, users, environment())  # type: ignore[arg-type]
    app = application(desk, gate, TABLE, registry, lambda: True)
    listening = socket.create_server(("127.0.0.1", 0))
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(app, listening, chosen, metrics, stop),))
    thread.start()
    try:
        yield Stand(f"http://127.0.0.1:{listening.getsockname()[1]}", desk, gate, writer)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
