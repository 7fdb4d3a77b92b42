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

from models.bundle.persons import StepRule
from schemas import codec
from schemas.approval import ApprovalRecord, Subject
from schemas.case import Case, CaseAction, Mute
from schemas.control import Control
from schemas.lists import ListEntry, entry_key
from services.approvals import Request, approved_entries, requests_of
from services.cases.grouping import Source, decided, joined, opened
from services.cases.rules import SecondPerson
from services.clock import wall_ms
from services.commanding import CommandResult, ControlCommand
from services.console.app import application
from services.console.audit import AuditTrail
from services.console.bulk import Bulk
from services.console.model import Finding, ReadModel
from services.console.oidc import Provider
from services.console.overview import Overview
from services.console.pages import environment
from services.console.promotions import Promotions
from services.console.queries import Queries
from services.console.routes import TABLE, Desk
from services.console.sending import Sender
from services.console.server import serve
from services.console.sessions import Sessions
from services.console.users import Users
from services.console.web import Gate
from services.console.writer import Result, UnwrittenError
from services.observability.console_metrics import ConsoleMetrics
from services.settings.bundles import BundleSettings
from services.settings.console import ConsoleSettings
from services.settings.credit import CreditSettings
from services.settings.policy import CreditPolicySettings, PolicySettings
from services.settings.scorer import ScorerSettings
from services.trusted_persons import needs_second

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
    records: list[ApprovalRecord] = field(default_factory=list)
    noted: list[tuple[bytes, bytes]] = field(default_factory=list)
    second: SecondPerson | None = None
    broken: bool = False
    """Whether Kafka takes no audit record."""

    async def note(self, key: bytes, value: bytes) -> int:
        """The audit trail, as its topic would hold it."""
        if self.broken:
            raise UnwrittenError("KafkaTimeoutError")
        self.noted.append((key, value))
        return len(self.noted) - 1

    async def request(self, record: ApprovalRecord) -> None:
        """Kept, as the topic keeps it."""
        self.records.append(record)

    async def requests(self) -> dict[str, Request]:
        """What the records make."""
        return requests_of(self.records)

    async def carry_out(self, request: Request, rule: StepRule | None = None) -> None:
        """The entries, as the list gets them."""
        self.entries += [codec.read(ListEntry, value) for _, value in approved_entries(request, rule)]

    async def has_newer(self, request: Request, rule: StepRule) -> bool:
        """By their keys and times alone."""
        said = {entry_key(one): one.written_at_ms for one in self.entries}
        return any(said.get(entry_key(one), -1) >= one.written_at_ms for one in request.record.entries)

    async def act(self, action: CaseAction) -> Result:
        """The case after it."""
        case = self.queries.case(action.case_id or "")
        assert case is not None
        source = Source(0, next(self.offsets), wall_ms(), wall_ms())
        after = decided(case, action, source, self.second)
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
class Commanded:
    """The scorers, as services.commanding.change finds them: four partitions that agree, unless they are told to refuse."""

    orders: list[ControlCommand] = field(default_factory=list)
    refusal: str | None = None
    error: Exception | None = None
    hold: threading.Event = field(default_factory=threading.Event)
    """Whether they may answer."""

    def __post_init__(self) -> None:
        self.hold.set()

    async def __call__(
        self, order: ControlCommand, group: str, by: str, wait_s: float, record: Any, whom: Any, heard: Any
    ) -> CommandResult:
        """Ask them, and record what they agree to."""
        self.orders.append(order)
        heard(1, 4)
        await asyncio.to_thread(self.hold.wait, 60)
        if self.error is not None:
            raise self.error
        if self.refusal is not None:
            fields = {
                "kind": "acknowledgement",
                "group": group,
                "channel": order.channel,
                "command_id": "c",
                "at_ms": 1,
            }
            refused = Control(**fields, by="s", outcome="refused", why=self.refusal, source_partition=2)  # type: ignore[arg-type]
            return CommandResult([refused], 4)
        heard(4, 4)
        await asyncio.to_thread(record)
        return CommandResult([], 4, recorded=True)


@dataclass
class Stand:
    """What runs."""

    url: str
    desk: Desk
    gate: Gate
    writer: LocalWriter
    commanded: "Commanded"


@contextmanager
def running(
    directory: Path,
    users_file: Path,
    cases: Sequence[Case],
    findings: Sequence[Finding] = (),
    bundles: BundleSettings | None = None,
    **settings: Any,
) -> Iterator[Stand]:
    """The console on a free port of this machine. bundles: where the registry is."""
    chosen = ConsoleSettings(port=0, users_file=users_file, **settings)
    model = ReadModel(f"sqlite:///{directory}/console.db")
    model.take({case.case_id: case for case in cases}, {}, [], wall_ms(), findings)
    queries, registry = Queries(model), CollectorRegistry()
    writer = LocalWriter(model, queries)
    metrics = ConsoleMetrics(registry)
    users = Users(users_file)
    gate = Gate(chosen, users, metrics, Sessions(36_000, 3_600), AuditTrail(writer.note, None, None))
    bulk = Bulk(model, queries, writer, chosen.undo_s)
    overview = Overview(queries, chosen, bundles or BundleSettings(), PolicySettings(), ScorerSettings())
    desk = Desk(chosen, queries, writer, users, environment(), bulk, overview)  # type: ignore[arg-type]
    commanded = Commanded()
    if bundles is not None and bundles.registry_url is not None:
        credit = CreditPolicySettings()
        groups: dict[Subject, str] = {"bundle": "g", "policy": "g", "credit_bundle": "c", "credit_policy": "c"}
        desk.promotions = Promotions(bundles, PolicySettings(), credit, CreditSettings(), groups, 1.0, needs_second)
        desk.sender = Sender(desk.promotions, commanded, writer.request, gate.trail.noted)
    provider = Provider(chosen) if chosen.oidc_issuer else None
    app = application(desk, gate, TABLE, registry, lambda: True, provider)
    listening = socket.create_server(("127.0.0.1", 0))
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def work() -> None:
        await bulk.start()
        await serve(app, listening, chosen, metrics, stop)
        await bulk.finish()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    try:
        yield Stand(f"http://127.0.0.1:{listening.getsockname()[1]}", desk, gate, writer, commanded)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
