"""The policies of the credit service's process: the one that decides, and one in shadow. Partitions take them once a batch.

They change while it works, by a command on `credit-control`: a verified and compiled policy, and each partition's
acknowledgement in the first transaction that it is about. At a start the registry says what decides; a command counts only
while the registry has taken no step since it was given.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from models.bundle.files import BundleError
from models.bundle.load import Bundle
from models.policy.program import Program
from models.policy.signed import SignedPolicy
from schemas import codec
from schemas.control import BundleRef, Control, PolicyChannel
from schemas.topics import CREDIT_CONTROL
from services.engine.batches import Record
from services.engine.tables import FollowedTable, each, why_ended
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.observability.policy_metrics import ShownPolicies
from services.settings.bundles import BundleSettings
from services.settings.policy import CreditPolicySettings
from services.trusted_commands import CommandGuard
from services.trusted_policies import (
    check_order,
    compiled,
    first_policies,
    first_policy,
    known_to,
    outdated,
    wanted_policy,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The outcome of a channel's last command. holds: what the channel has now. why: the command was refused."""

    command: Control
    holds: BundleRef | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyLoader:
    """Where policies come from: the registry, and ASSAY_CREDIT_POLICY. bundle: beside which they decide."""

    settings: CreditPolicySettings
    bundles: BundleSettings
    bundle: Bundle

    def first(self) -> tuple[Program | None, Program | None]:
        """What a process starts with, and what it has in shadow. Raises AssayError."""
        return first_policies(self.settings, self.bundles, self._program)

    def of(self, wanted: BundleRef | None) -> Program | None:
        """Exactly that policy; without one, that of ASSAY_CREDIT_POLICY, if any. Raises BundleError, AssayError."""
        signed = wanted_policy(self.settings, self.bundles, wanted)
        return None if signed is None else self._program(signed)

    def held(self, channel: PolicyChannel) -> Program | None:
        """What a channel has by the registry as it is now. Raises AssayError."""
        return first_policy(self.settings, self.bundles, channel, self._program)

    def outdated(self, command: Control) -> bool:
        """Whether the registry has taken a step about its channel since the command. Raises BundleError."""
        return outdated(self.settings, self.bundles, command)

    def _program(self, signed: SignedPolicy) -> Program:
        return compiled(signed, known_to(self.bundle, signed.policy))


class Policies:
    """What decides behind the scores in this process, and the outcome of the last commands."""

    def __init__(self, metrics: Metrics, deciding: Program | None = None, shadow: Program | None = None) -> None:
        self.answers: dict[PolicyChannel, Acknowledgement] = {}
        self._held: dict[PolicyChannel, Program | None] = {"policy": deciding, "shadow_policy": shadow}
        self._shown = ShownPolicies(metrics.risk)
        self._shown.show(self._held)

    @property
    def deciding(self) -> Program | None:
        """The policy that decides; None where thresholds alone do."""
        return self._held["policy"]

    @property
    def shadow(self) -> Program | None:
        """The one that is evaluated without effect."""
        return self._held["shadow_policy"]

    def take(self, channel: PolicyChannel, program: Program | None, command: Control) -> None:
        """From each partition's next batch on."""
        self._held[channel] = program
        name = program.name if program else "none"
        log.info("policy.swapped", policy=name, channel=channel, rollback=command.rollback)
        self.answers[channel] = Acknowledgement(command, program.ref if program else None)
        self._shown.show(self._held)

    def settle(self, channel: PolicyChannel, held: Program | None, command: Control) -> None:
        """What the registry says, read again: it may have moved on since this process began to start.

        It is acknowledged as what became of the last command, so that the answers say what decides behind any owner.
        """
        now = self._held[channel]
        if (held.ref if held else None) == (now.ref if now else None):
            self.answers[channel] = Acknowledgement(command, now.ref if now else None)
        else:
            self.take(channel, held, command)

    def refuse(self, channel: PolicyChannel, command: Control, why: str) -> None:
        """A command that changes nothing."""
        held = self._held[channel]
        self.answers[channel] = Acknowledgement(command, held.ref if held else None, why[:500])

    def drop_shadow(self, failed: Program, error: Exception) -> None:
        """A policy in shadow that fails is no longer evaluated; what decides never notices."""
        if self.shadow is not failed:
            return
        why = f"policy {failed.name} fails with {type(error).__name__}"
        log.error("policy.shadow_failed", policy=failed.name, why=why)
        self._held["shadow_policy"] = None
        if (answer := self.answers.get("shadow_policy")) is not None:
            self.answers["shadow_policy"] = Acknowledgement(answer.command, None, why)
        self._shown.show(self._held)


class PolicySwapper:
    """Obeys the commands to one consumer group, one at a time; `start` obeys the last before any partition is processed."""

    def __init__(
        self,
        policies: Policies,
        loader: PolicyLoader,
        group: str,
        metrics: Metrics,
        guard: CommandGuard | None = None,
    ) -> None:
        """guard: judges commands by the signatures of persons."""
        self._guard = guard
        self._policies, self._loader, self._group, self._metrics = policies, loader, group, metrics
        self._table: FollowedTable | None = None
        self._commands: dict[PolicyChannel, Control] = {}
        self._news = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="loader")

    def follow(self, table: FollowedTable) -> None:
        """The topic to read; it hands its records to `take`."""
        self._table = table

    @property
    def ready(self) -> bool:
        """Whether the last command is obeyed, or refused, and the next one will be read."""
        following = self._table is not None and self._table.ready
        return following and self._working is not None and self.ended is None

    @property
    def ended(self) -> str | None:
        """Why no command is obeyed any more; None while they are."""
        of_table = self._table.ended if self._table is not None else None
        return of_table or why_ended("What obeys commands", self._working)

    async def start(self) -> None:
        """Read every command, obey the last, continue in the background. Raises AssayError, KafkaError."""
        assert self._table is not None, "start before follow"
        await self._table.start()
        try:
            for channel, command in tuple(self._commands.items()):
                if await self._in_loader(partial(self._loader.outdated, command)):
                    del self._commands[channel]
                    self._policies.settle(channel, await self._in_loader(partial(self._loader.held, channel)), command)
        except BundleError as error:
            raise AssayError(str(error)) from error
        await self._obey()
        self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Take no more commands."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        if self._table is not None:
            await self._table.stop()

    def take(self, records: Sequence[Record]) -> None:
        """The next records of `credit-control`. An invalid command, or one for others, is skipped."""
        each(CREDIT_CONTROL, records, self._take, self._metrics)

    def _take(self, record: Record) -> None:
        if not record.value:
            return
        control = codec.read(Control, record.value)
        if control.group != self._group or control.kind != "command":
            return
        if control.channel == "policy" or control.channel == "shadow_policy":
            if self._guard is not None:
                self._guard.saw(control, int(record.timestamp))
            self._commands[control.channel] = control
            self._news.set()

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._obey()

    async def _obey(self) -> None:
        while self._commands:
            channel = next(iter(self._commands))
            await self._apply(channel, self._commands.pop(channel))

    async def _apply(self, channel: PolicyChannel, command: Control) -> None:
        known = self._policies.answers.get(channel)
        if known is not None and known.command.command_id == command.command_id:
            return
        deciding, guard = self._policies.deciding, self._guard
        try:
            if guard is not None:
                await self._in_loader(partial(guard.check, command))
            check_order(channel, command, deciding.ref if deciding is not None else None, self._loader.settings)
            program: Program | None = None
            if channel == "policy" or command.bundle is not None:
                program = await self._in_loader(partial(self._loader.of, command.bundle))
        except BundleError as error:
            self._refuse(channel, command, str(error), error.reason)
        except Exception as error:  # whatever a policy does to us, the next command must still be obeyed
            fails = f"{command.bundle} fails with {type(error).__name__}."
            self._refuse(channel, command, str(error) if isinstance(error, AssayError) else fails, "failed")
        else:
            self._policies.take(channel, program, command)

    def _refuse(self, channel: PolicyChannel, command: Control, why: str, reason: str) -> None:
        log.error("policy.refused", policy=str(command.bundle), command=command.command_id, reason=reason, why=why)
        self._metrics.refused_bundles.labels(reason).inc()
        self._policies.refuse(channel, command, why)

    async def _in_loader(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
