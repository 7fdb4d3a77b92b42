"""The policies of a scorer: obeyed as `services/policy_commands.py` does, with lists to follow and thresholds of a budget."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

import structlog

from schemas.control import Control
from services.observability.metrics import Metrics
from services.policy_commands import Acknowledgement, PolicyLoader, PolicySwapper
from services.swapping.live import ActivePolicy, Models
from services.trusted_commands import CommandGuard

log = structlog.get_logger(__name__)


class ScorerPolicies(PolicySwapper[ActivePolicy]):
    """Obeys commands about policies, and those of a budget."""

    def __init__(
        self,
        models: Models,
        loader: PolicyLoader[ActivePolicy],
        metrics: Metrics,
        follow_lists: Callable[[], Awaitable[None]],
        guard: CommandGuard | None = None,
    ) -> None:
        """follow_lists: reads the lists from now on; called before a policy that asks them is taken.

        guard: judges commands by their signatures.
        """
        super().__init__(models, loader, metrics, guard)
        self._models, self._follow_lists = models, follow_lists
        self._thresholds: Control | None = None
        """The last command of a budget: it counts while its policy decides."""

    def take_thresholds(self, command: Control) -> None:
        """The next command of a budget."""
        self._thresholds = command

    async def prepare(self, active: ActivePolicy) -> None:
        """Follow the lists that it asks."""
        if active.program.policy.lists:
            await self._follow_lists()

    async def work(self, executor: Executor) -> None:
        """Do what the commands say."""
        await super().work(executor)
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
