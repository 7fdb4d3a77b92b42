"""Sends steps that persons signed to those who are commanded, and records them: beside the pages, which show how far it is."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog

from models.bundle.files import BundleError
from schemas.approval import ApprovalRecord
from schemas.audit import Outcome
from schemas.person import SignedStep
from services.approvals import NotAllowedError, Request, answer, command_words
from services.clock import wall_ms
from services.commanding import Commanded, CommandResult, ControlCommand, Heard
from services.console.audit import Doing
from services.console.promotions import Promotions, StaleError
from services.console.writer import UnwrittenError
from services.errors import AssayError

log = structlog.get_logger(__name__)

WAIT_S = 60.0
KEPT_MAX = 100
END_S = 5.0

State = Literal["asking", "recording", "done", "not done"]


class Command(Protocol):
    """As services.commanding.change: ask those who are commanded, record what they agree to, else take it back."""

    def __call__(
        self,
        order: ControlCommand,
        group: str,
        by: str,
        wait_s: float,
        record: Callable[[], object],
        whom: Commanded,
        heard: Heard,
    ) -> Awaitable[CommandResult]:
        """Raises AssayError, BundleError."""


@dataclass(slots=True)
class Attempt:
    """One try to activate something. answered of partitions: how many have said something."""

    by: str
    at_ms: int
    state: State = "asking"
    answered: int = 0
    partitions: int | None = None
    words: str = ""

    @property
    def runs(self) -> bool:
        """Whether it is not over."""
        return self.state in ("asking", "recording")


@dataclass(slots=True)
class Sender:
    """What is on its way, and what came of it. Of this process: after a restart the request says what stands."""

    promotions: Promotions
    command: Command
    write: Callable[[ApprovalRecord], Awaitable[None]]
    note: Callable[[Doing, Outcome], Awaitable[None]]
    attempts: dict[str, Attempt] = field(default_factory=dict)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def of(self, request_id: str) -> Attempt | None:
        """The last try of a request."""
        return self.attempts.get(request_id)

    def begin(self, request: Request, signed: SignedStep, by: str, role: str) -> Attempt:
        """Send it. Raises NotAllowedError where another one is on its way: two at once could undo each other."""
        running = next((one for one in self.attempts.values() if one.runs), None)
        if running is not None:
            raise NotAllowedError(f"A change of {running.by}'s is on its way: try again once it is over.")
        attempt = Attempt(by, wall_ms())
        self.attempts.pop(request.request_id, None)
        self.attempts[request.request_id] = attempt
        if len(self.attempts) > KEPT_MAX:
            del self.attempts[next(iter(self.attempts))]
        task = asyncio.create_task(self._send(request, signed, attempt, role))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return attempt

    async def stop(self) -> None:
        """What is being recorded is recorded; what still waits for answers is taken back."""
        for task in self._tasks:
            if all(one.state != "recording" for one in self.attempts.values()):
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_S)

    async def _send(self, request: Request, signed: SignedStep, attempt: Attempt, role: str) -> None:
        outcome: Outcome = "failed"
        try:
            attempt.words = await self._sent(request, signed, attempt)
            outcome = "done" if attempt.state == "done" else "refused"
        except (BundleError, StaleError) as error:
            attempt.words = f"{error} Nothing has changed."
        except AssayError as error:
            attempt.words = f"{error} It may have been taken up: look at what is active, and send it again."
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = {"file": frame.filename.rpartition("/")[2], "line": frame.lineno}
            log.error("console.failed", error=type(error).__name__, **place)
            attempt.words = (
                "The console failed, and its log says where: look at what is active before you send it again."
            )
        finally:
            if attempt.state != "done":
                attempt.state = "not done"
            await self._noted(request, attempt, role, outcome)

    async def _sent(self, request: Request, signed: SignedStep, attempt: Attempt) -> str:
        """What came of it, in words. Raises AssayError, BundleError, StaleError."""
        said, promotions = request.statement, self.promotions
        if await asyncio.to_thread(promotions.standing, said, request.text) == "done":
            return await self._done(request, attempt, "It was recorded already")
        order, whom, group = await asyncio.to_thread(promotions.commanded, said, signed)

        def record() -> None:
            attempt.state = "recording"
            promotions.record(said, signed, attempt.by)

        def heard(answered: int, partitions: int) -> None:
            attempt.answered, attempt.partitions = answered, partitions

        found = await self.command(order, group, attempt.by, WAIT_S, record, whom, heard)
        if found.recorded:
            return await self._done(request, attempt, f"All {found.partitions} partitions have it active")
        if found.refused:
            first = found.refused[0]
            return f"It was taken back, and nothing has changed: partition {first.source_partition} refused it ({first.why})"
        none = f" Where none runs: {command_words(said)} --offline --request {request.request_id}"
        silent = f"{len(found.answers)} of {found.partitions} partitions answered within {WAIT_S:.0f} s."
        return f"It was taken back, and nothing has changed: {silent}{'' if found.answers else none}"

    async def _done(self, request: Request, attempt: Attempt, words: str) -> str:
        attempt.state = "done"
        try:
            await self.write(answer(request, "done", attempt.by, alone=True))
        except (NotAllowedError, UnwrittenError) as error:
            # it is active and in the registry's history, which is what counts; the request only looks unfinished
            log.error("console.done_unwritten", request=request.request_id, why=str(error))
        return words

    async def _noted(self, request: Request, attempt: Attempt, role: str, outcome: Outcome) -> None:
        said = request.statement
        doing = Doing(
            attempt.by, role, "activate", f"/approvals/{request.request_id}", f"{said.subject} {request.words()}"
        )
        try:
            await self.note(doing, outcome)
        except UnwrittenError as error:
            log.error("console.audit_unwritten", action=doing.action, why=str(error))
