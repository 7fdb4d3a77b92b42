"""Changes the models while they score: commands on `control` in, checked bundles into `Models`, one at a time.

Load new before dropping old. Whatever is wrong with a bundle leaves the model in force as it is: one log line, one count, and
an acknowledgement from every partition that says why.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import structlog

from models.bundle.files import BundleError, Refusal
from models.scoring.devices import DeviceError
from models.scoring.golden import check_golden
from models.scoring.session import SLICE_ROWS
from schemas import codec
from schemas.control import BundleRef, Channel, Control
from services.engine.batches import Record
from services.engine.tables import FollowedTable
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.scorer.live import Model, Models

log = structlog.get_logger(__name__)


class Loads(Protocol):
    """Where models come from."""

    def of(self, wanted: BundleRef) -> Model:
        """Exactly that bundle. Raises BundleError, DeviceError."""


class Swapper:
    """Follows the commands to one consumer group. `start` puts in force what the last one says, before any partition runs."""

    def __init__(
        self,
        models: Models,
        loader: Loads,
        group: str,
        metrics: Metrics,
        profiles_followed: Callable[[], bool],
    ) -> None:
        """profiles_followed: whether a model may read terminal profiles now."""
        self._models, self._loader, self._group, self._metrics = models, loader, group, metrics
        self._profiles_followed = profiles_followed
        self._table: FollowedTable | None = None
        self._commands: dict[Channel, Control] = {}
        self._last_answer: Control | None = None
        self._refused: set[str] = set()
        self._news = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        # one thread for all: ONNX Runtime's sessions do not like to be made beside each other, and memory freed by one thread
        # is found again by the same
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="loader")

    def follow(self, table: FollowedTable) -> None:
        """The topic to read; it hands its records to `take`."""
        self._table = table

    @property
    def ready(self) -> bool:
        """Whether what the last command says is in force, or refused."""
        return self._working is not None

    async def start(self) -> None:
        """Read every command, put the last in force, go on in the background. Raises AssayError, KafkaError."""
        assert self._table is not None, "start before follow"
        await self._table.start()
        await self._begin()
        self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Take no more commands."""
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
        if self._table is not None:
            await self._table.stop()

    def take(self, records: Sequence[Record]) -> None:
        """The topic's next records. What is no command, or not to us, is skipped."""
        for record in records:
            try:
                control = codec.read(Control, record.value or b"")
            except codec.RejectedError as error:
                log.error("control.record_refused", offset=record.offset, why=str(error))
                continue
            if control.group != self._group:
                continue
            if control.kind == "command":
                self._commands[control.channel] = control
                self._news.set()
            elif control.channel == "champion":
                self._last_answer = control
                if control.outcome == "refused":
                    self._refused.add(control.command_id)

    async def _begin(self) -> None:
        """The last command to the champion; where it was refused, what was in force then. Never older than what we have.

        Raises AssayError where what was rolled back to, or was in force, cannot be had: nothing is better than the wrong model.
        """
        command, answer, had = self._commands.pop("champion", None), self._last_answer, self._models.champion.bundle
        tried = command is not None and command.command_id not in self._refused
        if command is not None and tried and await self.apply(command, starting=True):
            return
        held = answer.bundle if answer else None
        if answer is None or held is None or held == had or held.name != had.name:
            return
        if held.version < had.version and not (command is not None and tried and command.rollback):
            return
        try:
            model = await self._in_loader(self._loader.of, held)
        except (BundleError, DeviceError) as error:
            raise AssayError(f"{held} was in force when this group last ran, and is not to be had: {error}") from error
        self._models.swap(model, _copy(answer), watch=False)

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._commands:
                for channel in tuple(self._commands):
                    await self.apply(self._commands.pop(channel))

    async def apply(self, command: Control, *, starting: bool = False) -> bool:
        """Do what a command says, or refuse it. starting: no partition has a state yet. Returns whether it is in force."""
        known = self._models.answers.get(command.channel)
        if known is not None and known.command.command_id == command.command_id:
            return known.why is None
        if command.bundle is None:
            self._models.shadow(None, command)
            return True
        try:
            self._check(command, command.bundle)
            model = await self._in_loader(self._load, command.bundle)
            self._check_features(command, model, starting=starting)
        except BundleError as error:
            self._refuse(command, error.reason, str(error))
            return False
        except DeviceError as error:
            self._refuse(command, "device", str(error))
            return False
        if command.channel == "champion":
            self._models.swap(model, command, watch=not starting)
        else:
            self._models.shadow(model, command)
        return True

    async def _in_loader(self, load: Callable[[BundleRef], Model], wanted: BundleRef) -> Model:
        return await asyncio.get_running_loop().run_in_executor(self._executor, load, wanted)

    def _check(self, command: Control, wanted: BundleRef) -> None:
        """Before anything is read: the line, and never an older version than the one in force."""
        now = self._models.champion.bundle
        if wanted.name != now.name:
            raise BundleError(f"{wanted} is of another line than {now}, which is in force.", "features")
        if command.channel == "challenger" or wanted.digest == now.digest:
            return
        if command.rollback:
            if command.replaces is not None and now.version > command.replaces.version:
                raise BundleError(f"{command.replaces} is to be rolled back, and {now} is in force since.", "older")
        elif wanted.version < now.version:
            raise BundleError(f"{wanted} is older than {now}, which is in force: roll back, if that is meant.", "older")
        elif wanted.version == now.version:
            raise BundleError(f"{wanted} is another bundle than the one of this version in force.", "older")

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

    def _check_features(self, command: Control, model: Model, *, starting: bool) -> None:
        now = self._models.champion
        if model.spec_digest == now.spec_digest:
            return
        if command.channel == "challenger":
            raise BundleError(
                f"{model.bundle} has other features than {now.bundle} and cannot score beside it.", "features"
            )
        if not (command.refold or starting):
            raise BundleError(
                f"{model.bundle} has other features than {now.bundle}, so every history must be folded again, and its "
                "partition stands still until it is: promote it with --refold.",
                "features",
            )
        if model.feature_spec.profiled and not starting and not self._profiles_followed():
            raise BundleError(
                f"{model.bundle} reads terminal profiles, which this process does not follow: start it again.",
                "features",
            )

    def _refuse(self, command: Control, reason: Refusal, why: str) -> None:
        log.error("bundle.refused", bundle=str(command.bundle), command=command.command_id, reason=reason, why=why)
        self._metrics.refused_bundles.labels(reason).inc()
        self._models.refuse(command, why)


def _copy(answer: Control) -> Control:
    """The command that an answer stands for, after a restart."""
    return answer.model_copy(update={"kind": "command", "source_partition": None, "from_offset": None, "outcome": None})
