"""Commands about policies, obeyed one at a time by the scorer and by the credit service.

Policies change while a service works: a command on its control topic, a verified and compiled policy, and each partition's
acknowledgement in the first transaction that it is about. At a start the registry says what decides; a command counts only
while the registry has taken no step since it was given.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import structlog

from models.bundle.files import BundleError, Refusal
from models.policy.signed import SignedPolicy
from schemas.control import BundleRef, Channel, Control, PolicyChannel
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_commands import CommandGuard
from services.trusted_policies import check_order, first_policies, first_policy, outdated, wanted_policy

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Referenced(Protocol):
    """A policy that is ready to run."""

    @property
    def ref(self) -> BundleRef:
        """Which one it is."""


P = TypeVar("P", bound=Referenced)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The outcome of a channel's last command; every partition acknowledges it.

    current_bundle: what the channel holds now. reason: the command was refused. self_initiated: this process made the command.
    """

    command: Control
    current_bundle: BundleRef | None
    reason: str | None = None
    self_initiated: bool = False


class PolicyHolder(Protocol[P]):
    """What has the policies of a process, from which partitions take them once a batch."""

    answers: dict[Channel, Acknowledgement]

    def policy_of(self, channel: PolicyChannel) -> P | None:
        """What a channel holds now."""

    def set_policy(self, channel: PolicyChannel, active: P | None, command: Control) -> None:
        """Let a policy decide from each partition's next batch on, or evaluate it beside; None ends that."""


@dataclass(frozen=True, slots=True)
class PolicyLoader(Generic[P]):
    """Where policies come from: the registry, and the setting that names one. make: ready to run; raises BundleError."""

    settings: PolicySettings
    bundles: BundleSettings
    make: Callable[[SignedPolicy], P]

    def first(self) -> tuple[P | None, P | None]:
        """What a process starts with, and what it has in shadow. Raises AssayError."""
        return first_policies(self.settings, self.bundles, self.make)

    def of(self, wanted: BundleRef | None) -> P | None:
        """Exactly that policy; without one, that of the setting, if any. Raises BundleError, AssayError."""
        signed = wanted_policy(self.settings, self.bundles, wanted)
        return None if signed is None else self.make(signed)

    def held(self, channel: PolicyChannel) -> P | None:
        """What a channel has by the registry as it is now. Raises AssayError."""
        return first_policy(self.settings, self.bundles, channel, self.make)

    def outdated(self, command: Control) -> bool:
        """Whether the registry has taken a step about its channel since the command. Raises BundleError."""
        return outdated(self.settings, self.bundles, command)


class PolicySwapper(Generic[P]):
    """Obeys commands about policies, each in the loader's thread."""

    def __init__(
        self, holder: PolicyHolder[P], loader: PolicyLoader[P], metrics: Metrics, guard: CommandGuard | None = None
    ) -> None:
        """guard: judges commands by the signatures of persons."""
        self._holder, self._loader, self._metrics, self._guard = holder, loader, metrics, guard
        self._commands: dict[PolicyChannel, Control] = {}

    def take(self, channel: PolicyChannel, command: Control) -> None:
        """The next command."""
        self._commands[channel] = command

    def take_thresholds(self, command: Control) -> None:
        """The next command of a budget: passed over where policies have none."""

    async def begin(self, executor: Executor) -> None:
        """The last commands; where the registry has taken a step since, what it says. Raises AssayError."""
        try:
            for channel, command in tuple(self._commands.items()):
                if await _in(executor, partial(self._loader.outdated, command)):
                    del self._commands[channel]
                    await self._settle(channel, command, executor)
        except BundleError as error:
            raise AssayError(str(error)) from error
        await self.work(executor)

    async def work(self, executor: Executor) -> None:
        """Do what the commands say."""
        while self._commands:
            channel = next(iter(self._commands))
            await self._apply(channel, self._commands.pop(channel), executor)

    async def prepare(self, active: P) -> None:
        """Called before a policy is taken. Raises BundleError where it cannot be."""

    async def _settle(self, channel: PolicyChannel, command: Control, executor: Executor) -> None:
        """What the registry says, read again: it may have moved on since this process began to start.

        It is acknowledged as what became of the last command, so that the answers say what decides behind any owner.
        """
        now = self._holder.policy_of(channel)
        held = await _in(executor, partial(self._loader.held, channel))
        if (held.ref if held else None) == (now.ref if now else None):
            self._holder.answers[channel] = Acknowledgement(command, now.ref if now else None)
            return
        if held is not None:
            await self.prepare(held)
        self._holder.set_policy(channel, held, command)

    async def _apply(self, channel: PolicyChannel, command: Control, executor: Executor) -> None:
        """Do what a command says, or refuse it."""
        known = self._holder.answers.get(channel)
        if known is not None and known.command.command_id == command.command_id:
            return
        try:
            if self._guard is not None:
                await _in(executor, partial(self._guard.check, command))
            deciding = self._holder.policy_of("policy")
            check_order(channel, command, None if deciding is None else deciding.ref, self._loader.settings)
            active: P | None = None
            if channel == "policy" or command.bundle is not None:
                active = await _in(executor, partial(self._loader.of, command.bundle))
            if active is not None:
                await self.prepare(active)
        except BundleError as error:
            self._refuse(channel, command, str(error), error.reason)
        except Exception as error:  # whatever a policy does to us, the next command must still be obeyed
            fails = f"{command.bundle} fails with {type(error).__name__}."
            self._refuse(channel, command, str(error) if isinstance(error, AssayError) else fails, "failed")
        else:
            self._holder.set_policy(channel, active, command)

    def _refuse(self, channel: PolicyChannel, command: Control, why: str, reason: Refusal) -> None:
        log.error("policy.refused", policy=str(command.bundle), command=command.command_id, reason=reason, why=why)
        self._metrics.refused_bundles.labels(reason).inc()
        held = self._holder.policy_of(channel)
        self._holder.answers[channel] = Acknowledgement(command, held.ref if held else None, why[:500])


async def _in(executor: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)
