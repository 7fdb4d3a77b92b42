"""The policies of a process: the one that decides, and one in shadow. Partitions take them once a batch, as they take models.

They change while scoring as models do: a command on `control`, a verified and compiled policy, and each partition's
acknowledgement in the first transaction that it is about. At a start the registry says what decides; a command counts only
while the registry has taken no step since it was given.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from models.bundle.files import BundleError, Refusal
from models.policy.budget import warm
from models.policy.signed import SignedPolicy
from schemas.control import BundleRef, Control, PolicyChannel
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.scorer.live import ActivePolicy, Model, Models
from services.scorer.scored import Acknowledgement
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_commands import CommandGuard
from services.trusted_policies import (
    check_order,
    compiled,
    first_policies,
    first_policy,
    known_of,
    outdated,
    wanted_policy,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")


def policy_beside(signed: SignedPolicy, model: Model) -> ActivePolicy:
    """The policy as it reads what this model has. Raises BundleError where it reads what is not there."""
    program = compiled(signed, known_of(model.feature_spec, model.source))
    if signed.policy.budget is not None:
        warm(signed.policy.budget)
    return ActivePolicy(signed.ref, program, model.spec_digest, partial(policy_beside, signed))


@dataclass(frozen=True, slots=True)
class PolicyLoader:
    """Where policies come from: the registry, and ASSAY_POLICY."""

    settings: PolicySettings
    bundles: BundleSettings

    def first(self, model: Model) -> tuple[ActivePolicy | None, ActivePolicy | None]:
        """What a process starts with, and what it has in shadow. Raises AssayError."""
        return first_policies(self.settings, self.bundles, partial(policy_beside, model=model))

    def of(self, wanted: BundleRef | None, model: Model) -> ActivePolicy | None:
        """Exactly that policy, ready to run; without one, that of ASSAY_POLICY, if any. Raises BundleError, AssayError."""
        signed = wanted_policy(self.settings, self.bundles, wanted)
        return None if signed is None else policy_beside(signed, model)

    def held(self, channel: PolicyChannel, model: Model) -> ActivePolicy | None:
        """What a channel has by the registry as it is now. Raises AssayError."""
        return first_policy(self.settings, self.bundles, channel, partial(policy_beside, model=model))

    def outdated(self, command: Control) -> bool:
        """Whether the registry has taken a step about its channel since the command. Raises BundleError."""
        return outdated(self.settings, self.bundles, command)


class PolicySwapper:
    """Obeys commands about policies, one at a time, each in the loader's thread."""

    def __init__(
        self,
        models: Models,
        loader: PolicyLoader,
        metrics: Metrics,
        follow_lists: Callable[[], Awaitable[None]],
        guard: CommandGuard | None = None,
    ) -> None:
        """follow_lists: reads the lists from now on; called before a policy that asks them is taken.

        guard: judges commands by their signatures.
        """
        self._guard = guard
        self._models, self._loader, self._metrics, self._follow_lists = models, loader, metrics, follow_lists
        self._commands: dict[PolicyChannel, Control] = {}
        self._thresholds: Control | None = None
        """The last command of a budget: it counts while its policy decides."""

    def take(self, channel: PolicyChannel, command: Control) -> None:
        """The next command."""
        self._commands[channel] = command

    def take_thresholds(self, command: Control) -> None:
        """The next command of a budget."""
        self._thresholds = command

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

    async def _settle(self, channel: PolicyChannel, command: Control, executor: Executor) -> None:
        """What the registry says, read again: it may have moved on since this process began to start.

        It is acknowledged as what became of the last command, so that the answers say what decides behind any owner.
        """
        now = self._models.policy if channel == "policy" else self._models.shadow_policy
        held = await _in(executor, partial(self._loader.held, channel, self._models.champion))
        if (held.ref if held else None) == (now.ref if now else None):
            self._models.answers[channel] = Acknowledgement(command, now.ref if now else None)
            return
        if held is not None and held.program.policy.lists:
            await self._follow_lists()
        self._models.set_policy(channel, held, command)

    async def work(self, executor: Executor) -> None:
        """Do what the commands say."""
        while self._commands:
            channel = next(iter(self._commands))
            await self.apply(channel, self._commands.pop(channel), executor)
        self._move()

    def _move(self) -> None:
        """Obey the last command of a budget, where its policy decides and it is within the bounds that are signed with it."""
        command, policy = self._thresholds, self._models.policy
        if command is None or policy is None or command.bundle != policy.ref:
            return
        known = self._models.answers.get("thresholds")
        if known is not None and known.command.command_id == command.command_id and self._models.moved is not None:
            return
        budget = policy.program.policy.budget
        if budget is not None and command.thresholds is not None and budget.holds(command.thresholds):
            self._models.move_thresholds(command)
            return
        self._thresholds = None
        why = f"Thresholds {command.thresholds} are not within the bounds of the budget of {policy.ref}."
        log.error("policy.thresholds_refused", policy=str(policy.ref), command=command.command_id, why=why)
        self._models.answers["thresholds"] = Acknowledgement(command, policy.ref, why[:500])

    async def apply(self, channel: PolicyChannel, command: Control, executor: Executor) -> bool:
        """Do what a command says, or refuse it. Returns whether it is active."""
        known = self._models.answers.get(channel)
        if known is not None and known.command.command_id == command.command_id:
            return known.reason is None
        try:
            if self._guard is not None:
                await _in(executor, partial(self._guard.check, command))
            now = self._models.policy
            check_order(channel, command, None if now is None else now.ref, self._loader.settings)
            active: ActivePolicy | None = None
            if channel == "policy" or command.bundle is not None:
                model = self._models.champion
                active = await _in(executor, partial(self._loader.of, command.bundle, model))
            if active is not None and active.program.policy.lists:
                await self._follow_lists()
        except BundleError as error:
            self._refuse(channel, command, str(error), error.reason)
            return False
        except Exception as error:  # whatever a policy does to us, the next command must still be obeyed
            why = (
                str(error) if isinstance(error, AssayError) else f"{command.bundle} fails with {type(error).__name__}."
            )
            self._refuse(channel, command, why, "failed")
            return False
        self._models.set_policy(channel, active, command)
        return True

    def _refuse(self, channel: PolicyChannel, command: Control, why: str, reason: Refusal) -> None:
        log.error("policy.refused", policy=str(command.bundle), command=command.command_id, reason=reason, why=why)
        self._metrics.refused_bundles.labels(reason).inc()
        held = self._models.policy if channel == "policy" else self._models.shadow_policy
        self._models.answers[channel] = Acknowledgement(command, held.ref if held else None, why[:500])


async def _in(executor: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)
