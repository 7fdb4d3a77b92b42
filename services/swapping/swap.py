"""Changes the models while they score: commands on `control` or `credit-control` in, checked bundles into `Models`, each alone.

Load new before dropping old. Whatever is wrong with a bundle leaves the active model as it is: one log line, one count, and
an acknowledgement from every partition that says why. At a start the registry says what scores; a command counts only while
the registry has taken no step since it was given.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import structlog

from models.bundle.files import BundleError, Refusal
from models.scoring.devices import DeviceError
from models.scoring.golden import check_golden
from models.scoring.session import SLICE_ROWS
from models.sources.spec_file import scorer_input, topic_of
from schemas import codec
from schemas.control import BundleRef, Channel, Control, command_key, own_rollback_id
from services.commanding import SCORERS, Commanded
from services.engine.batches import Record
from services.engine.tables import FollowedTable, each, why_ended
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.policy_commands import PolicySwapper
from services.swapping.live import ActivePolicy, Model, Models
from services.trusted_commands import CommandGuard

log = structlog.get_logger(__name__)

A = TypeVar("A")
T = TypeVar("T")

REFUSED_MAX = 1000
"""Refused commands that are remembered; one matters, the last."""


class ModelLoader(Protocol):
    """Where models come from."""

    def of(self, wanted: BundleRef) -> Model:
        """Exactly that bundle. Raises BundleError, DeviceError."""

    def champion_since(self, steps: int) -> BundleRef | None:
        """The registry's champion, if one of the steps behind the first `steps` is about it. Raises BundleError."""


class Swapper:
    """Follows the commands to one consumer group. `start` activates what the last one says, before any partition runs."""

    def __init__(
        self,
        models: Models,
        loader: ModelLoader,
        group: str,
        metrics: Metrics,
        follow_profiles: Callable[[], Awaitable[None]],
        policies: PolicySwapper[ActivePolicy] | None = None,
        guard: CommandGuard | None = None,
        whom: Commanded = SCORERS,
    ) -> None:
        """follow_profiles: reads the terminals' profiles from now on; called before a model that needs them is taken.

        policies: obeys the commands about policies; without, they are skipped. guard: judges commands by their signatures.
        whom: who is commanded, and on which topics.
        """
        self._policies, self._guard, self._whom = policies, guard, whom
        self._models, self._loader, self._group, self._metrics = models, loader, group, metrics
        self._follow_profiles = follow_profiles
        self._tables: tuple[FollowedTable, ...] = ()
        self._commands: dict[Channel, Control] = {}
        self._commanded: str | None = None
        """Id of the last command to the champion."""
        self._own: Control | None = None
        """The last rollback that a scorer of the group made on its own."""
        self._last_answer: Control | None = None
        self._refused: dict[str, None] = {}
        self._news = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        # one thread for all: ONNX Runtime's sessions do not like to be made beside each other, and memory freed by one thread
        # is found again by the same
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="loader")

    def follow(self, *tables: FollowedTable) -> None:
        """The topics to read; they hand their records to `take` and `take_answers`."""
        self._tables = tables

    @property
    def ready(self) -> bool:
        """Whether the last command's bundle is active, or refused, and the next command will be read."""
        return self._working is not None and self.ended is None and all(table.ready for table in self._tables)

    @property
    def ended(self) -> str | None:
        """Why no command is obeyed any more; None while they are."""
        return next(filter(None, (table.ended for table in self._tables)), None) or why_ended(
            "What obeys commands", self._working
        )

    async def start(self) -> None:
        """Read every command, activate the last, continue in the background. Raises AssayError, KafkaError."""
        assert self._tables, "start before follow"
        for table in self._tables:
            await table.start()
        await self._begin()
        if self._policies is not None:
            await self._policies.begin(self._executor)
        self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Take no more commands."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        for table in self._tables:
            await table.stop()

    def take(self, records: Sequence[Record]) -> None:
        """The next records of `control`. An invalid command, or one for others, is skipped."""
        each(self._whom.commands, records, self._take_command, self._metrics)

    def take_answers(self, records: Sequence[Record]) -> None:
        """The next records of `control-answers`."""
        each(self._whom.answers, records, self._take_answer, self._metrics)

    def _take_command(self, record: Record) -> None:
        if not record.value:
            if record.key == command_key(self._group, "champion"):
                self._commands.pop("champion", None)  # withdrawn by its sender
            return
        control = codec.read(Control, record.value)
        if control.group != self._group:
            return
        if control.kind == "acknowledgement":  # as scorers before 0.2 wrote them; until 0.3
            self._note_answer(control)
            return
        if self._guard is not None:
            self._guard.saw(control, int(record.timestamp))
        if control.channel == "policy" or control.channel == "shadow_policy":
            if self._policies is not None:
                self._policies.take(control.channel, control)
                self._news.set()
            return
        if control.channel == "thresholds":
            if self._policies is not None:
                self._policies.take_thresholds(control)
                self._news.set()
            return
        self._commands[control.channel] = control
        if control.channel == "champion":
            self._commanded = control.command_id
        self._news.set()

    def _take_answer(self, record: Record) -> None:
        if not record.value:
            return
        control = codec.read(Control, record.value)
        if control.group != self._group or control.channel != "champion":
            return
        if control.kind == "acknowledgement":
            self._note_answer(control)
        elif control.rollback:  # the only command that a scorer may give
            self._own = control
            self._news.set()

    def _note_answer(self, answer: Control) -> None:
        if answer.channel != "champion":
            return
        if answer.outcome == "refused":
            self._refused[answer.command_id] = None
            if len(self._refused) > REFUSED_MAX:
                del self._refused[next(iter(self._refused))]
        elif answer.bundle is not None:
            self._last_answer = answer

    async def _begin(self) -> None:
        """What the registry says, then what a last command says that it does not know of; then the scorers' own rollback."""
        command = self._commands.pop("champion", None)
        if command is None:
            return
        settled = await self._settled(command)
        if settled is not None:
            await self._restore(command, settled)
        elif command.command_id not in self._refused:
            await self.apply(command, starting=True)
        elif (
            self._guard is None
            and command.registry_steps is None
            and command.bundle == self._models.champion.bundle
            and self._last_answer
        ):
            # by a command line before 0.2, which wrote the registry before it asked the scorers
            await self._restore(self._last_answer, self._last_answer.bundle)
        await self._roll_back_too(starting=True)

    async def _settled(self, command: Control) -> BundleRef | None:
        """The registry's champion, where it has taken a step since the command."""
        if command.registry_steps is None:
            return None
        try:
            return await self._in_loader(self._loader.champion_since, command.registry_steps)
        except BundleError as error:
            raise AssayError(str(error)) from error

    async def _restore(self, command: Control, held: BundleRef | None) -> None:
        """Activate what was active before the start, unless its bundle is missing or has no trusted signature."""
        if held is None or held == self._models.champion.bundle:
            return
        try:
            model = await self._in_loader(self._load, held)
        except Exception as error:
            why = str(error) if isinstance(error, BundleError | DeviceError) else type(error).__name__
            log.warning("control.answer_disbelieved", bundle=str(held), command=command.command_id, why=why)
            return
        self._models.swap(model, _copy(command), watch=False)

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._commands:
                for channel in tuple(self._commands):
                    await self.apply(self._commands.pop(channel))
            if self._policies is not None:
                await self._policies.work(self._executor)
            await self._roll_back_too()

    async def _roll_back_too(self, *, starting: bool = False) -> None:
        """Follow another process of the group that rolled back what the last command activated."""
        own = self._own
        if own is None or self._commanded is None or own.command_id != own_rollback_id(self._commanded):
            return
        if own.replaces == self._models.champion.bundle and own.bundle is not None:
            await self.apply(own, starting=starting, own=True)

    async def apply(self, command: Control, *, starting: bool = False, own: bool = False) -> bool:
        """Do what a command says, or refuse it. Returns whether it is active.

        starting: no partition has a state yet. own: a rollback of the scorers' own, which no person signs.
        """
        known = self._models.answers.get(command.channel)
        if known is not None and known.command.command_id == command.command_id:
            return known.reason is None
        try:
            if self._guard is not None and not own:
                await self._in_loader(self._guard.check, command)
            if command.bundle is None and command.channel == "challenger":
                self._models.set_challenger(None, command)
                return True
            model = await self._checked(command)
        except BundleError as error:
            self._refuse(command, error.reason, str(error))
            return False
        except DeviceError as error:
            self._refuse(command, "device", str(error))
            return False
        except Exception as error:  # whatever a bundle does to us, the next command must still be obeyed
            self._refuse(command, "failed", f"{command.bundle} cannot be used ({type(error).__name__}).")
            return False
        if command.channel == "champion":
            self._models.swap(model, command, watch=not starting)
        else:
            self._models.set_challenger(model, command)
        return True

    async def _checked(self, command: Control) -> Model:
        if command.bundle is None:
            raise BundleError("The command names no bundle for the champion, and something must decide.", "content")
        self._check(command, command.bundle)
        model = await self._in_loader(self._load, command.bundle)
        self._check_features(command, model)
        if command.channel == "champion":
            await self._in_loader(self._models.check_policies, model)
        if model.feature_spec.profiled:
            await self._follow_profiles()
        return model

    async def _in_loader(self, work: Callable[[A], T], argument: A) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, argument)

    def _check(self, command: Control, wanted: BundleRef) -> None:
        """Before anything is read: the line, and never an older version than the active one."""
        now = self._models.champion.bundle
        if wanted.name != now.name:
            raise BundleError(f"{wanted} is of another line than {now}, which is active.", "features")
        if command.channel == "challenger" or wanted.digest == now.digest:
            return
        if command.rollback:
            if command.replaces is not None and now.version > command.replaces.version:
                raise BundleError(f"{command.replaces} is to be rolled back, and {now} is active since.", "older")
        elif wanted.version < now.version:
            raise BundleError(f"{wanted} is older than {now}, which is active: roll back, if that is meant.", "older")
        elif wanted.version == now.version:
            raise BundleError(f"{wanted} is another bundle than the one of this Active version.", "older")

    def _load(self, wanted: BundleRef) -> Model:
        """In the loader's thread: the very bundle, checked against its golden rows, and warm to the largest batch."""
        for held in (self._models.champion, self._models.previous, self._models.challenger):
            if held is not None and held.bundle == wanted:
                return held
        model = self._loader.of(wanted)
        check_golden(model.session)
        width = len(model.feature_spec.names)
        model.session.run(np.zeros((SLICE_ROWS[model.session.provider], width), np.float32))
        return model

    def _check_features(self, command: Control, model: Model) -> None:
        now = self._models.champion
        if model.spec_digest == now.spec_digest:
            return
        wanted, read = (scorer_input(m.source, m.feature_spec) for m in (model, now))
        if topic_of(model.source) != topic_of(now.source) or wanted != read:
            raise BundleError(
                f"{model.bundle} reads another topic than {now.bundle}: start scorers of its own for it.", "features"
            )
        if command.channel == "challenger":
            raise BundleError(
                f"{model.bundle} has other features than {now.bundle} and cannot score beside it.", "features"
            )
        if not (command.refold or command.rollback):  # the way back is always open
            raise BundleError(
                f"{model.bundle} has other features than {now.bundle}, so every history must be folded again, and its "
                "partition stands still until it is: promote it with --rebuild-state.",
                "features",
            )

    def _refuse(self, command: Control, reason: Refusal, why: str) -> None:
        log.error("bundle.refused", bundle=str(command.bundle), command=command.command_id, reason=reason, why=why)
        self._metrics.refused_bundles.labels(reason).inc()
        self._models.refuse(command, why)


def _copy(answer: Control) -> Control:
    """The command that an answer is about, after a restart."""
    return answer.model_copy(update={"kind": "command", "source_partition": None, "from_offset": None, "outcome": None})
