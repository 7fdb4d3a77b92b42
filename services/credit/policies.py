"""The policies of the credit service's process: the one that decides, and one in shadow. Partitions take them once a batch.

Commands on `credit-control` change them while it works, obeyed as `services/policy_commands.py` does.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from models.bundle.load import Bundle
from models.policy.program import Program
from models.policy.signed import SignedPolicy
from schemas import codec
from schemas.control import Channel, Control, PolicyChannel
from schemas.topics import CREDIT_CONTROL
from services.engine.batches import Record
from services.engine.tables import FollowedTable, each, why_ended
from services.observability.metrics import Metrics
from services.observability.policy_metrics import ShownPolicies
from services.policy_commands import Acknowledgement, PolicyLoader, PolicySwapper
from services.trusted_commands import CommandGuard
from services.trusted_policies import compiled, known_to

log = structlog.get_logger(__name__)


def program_beside(signed: SignedPolicy, bundle: Bundle) -> Program:
    """The policy as it reads what applications of this bundle have. Raises BundleError where it reads what is not there."""
    return compiled(signed, known_to(bundle, signed.policy))


class Policies:
    """What decides behind the scores in this process, and the outcome of the last commands."""

    def __init__(self, metrics: Metrics, deciding: Program | None = None, shadow: Program | None = None) -> None:
        self.answers: dict[Channel, Acknowledgement] = {}
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

    def policy_of(self, channel: PolicyChannel) -> Program | None:
        """What a channel holds now."""
        return self._held[channel]

    def set_policy(self, channel: PolicyChannel, active: Program | None, command: Control) -> None:
        """From each partition's next batch on."""
        self._held[channel] = active
        name = active.name if active else "none"
        log.info("policy.swapped", policy=name, channel=channel, rollback=command.rollback)
        self.answers[channel] = Acknowledgement(command, active.ref if active else None)
        self._shown.show(self._held)

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


class CommandReader:
    """Reads the commands to one consumer group; `start` obeys the last before any partition is processed."""

    def __init__(
        self,
        policies: Policies,
        loader: PolicyLoader[Program],
        group: str,
        metrics: Metrics,
        guard: CommandGuard | None = None,
    ) -> None:
        """guard: judges commands by the signatures of persons."""
        self._guard, self._group, self._metrics = guard, group, metrics
        self._swapper = PolicySwapper(policies, loader, metrics, guard)
        self._table: FollowedTable | None = None
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
        await self._swapper.begin(self._executor)
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
            self._swapper.take(control.channel, control)
            self._news.set()

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._swapper.work(self._executor)
