"""The registry: published bundles, and a numbered history of steps whose sum is what each channel holds.

A step is a file that is created under the next number or not at all, so of two writers one sees that the other was first,
reads what it did and decides again. Nothing is ever changed or removed. A number may be missing; one far beyond the last counts
for nothing. Pure: the caller's `Shelf` knows where the files are.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

from pydantic import ValidationError

from models.bundle.container import CONTAINER_BYTES_MAX
from models.bundle.files import BundleError
from schemas.control import BundleRef, Channel
from schemas.registry import RegistryEvent

EVENT_BYTES_MAX = 1 << 16
TRIES_MAX = 1000
STEP_NAME = re.compile(r"[0-9]{8}\.json")
HOLE_STEPS_MAX = 1000
"""So many numbers in a row may be missing. A step beyond is ignored: it would stay the last for ever."""

Decide = Callable[[list[RegistryEvent]], RegistryEvent | None]
"""The next step after those that were taken; None where nothing is left to do. Raises BundleError where it may not be taken."""

StepCheck = Callable[[RegistryEvent, int, Sequence[RegistryEvent]], None]
"""A step, its place, and those before it. Raises BundleError where it may not count."""


class Shelf(Protocol):
    """A folder of files; OSError where it does not work."""

    def names(self) -> list[str]:
        """Names of the files."""

    def create(self, name: str, content: bytes) -> None:
        """Make a file that is not there yet, whole. Raises FileExistsError."""

    def open(self, name: str) -> BinaryIO:
        """A file to read from."""


class UnreachableRegistryError(BundleError):
    """The store does not answer, which says nothing about what it holds."""


class Registry:
    """Bundles by digest, and the history. Steps are read once; of one process and one thread."""

    def __init__(
        self, bundles: Shelf, events: Shelf, url: str = "the registry", check: "StepCheck | None" = None
    ) -> None:
        """url: what error messages call it. check: raises BundleError for a step that may not count."""
        self._bundles, self._events, self._url, self._check = bundles, events, url, check
        self._read: dict[int, RegistryEvent] = {}
        self._refused: dict[int, tuple[RegistryEvent, BundleError]] = {}

    def history(self) -> list[RegistryEvent]:
        """Every step so far, in order; void where it may not count. Raises BundleError where one cannot be read."""
        return self._counted(self._numbers())

    def refused(self) -> list[tuple[RegistryEvent, BundleError]]:
        """The steps that may not count, and why."""
        return list(self._refused.values())

    def _counted(self, numbers: Sequence[int]) -> list[RegistryEvent]:
        counted: list[RegistryEvent] = []
        for number in numbers:
            event = self._step(number)
            try:
                if self._check is not None:
                    self._check(event, len(counted), counted)
            except BundleError as error:
                self._refused[number] = event, error
                event = event.model_copy(update={"action": "void", "channel": None})
            counted.append(event)
        return counted

    def _numbers(self) -> list[int]:
        """Numbers of the steps that count. Raises UnreachableRegistryError."""
        try:
            names = self._events.names()
        except OSError as error:
            raise self._unreachable(error) from None
        counted: list[int] = []
        for number in sorted(int(name[:8]) for name in names if STEP_NAME.fullmatch(name)):
            if number - (counted[-1] if counted else 0) > HOLE_STEPS_MAX + 1:
                break
            counted.append(number)
        return counted

    def _step(self, number: int) -> RegistryEvent:
        if number not in self._read:
            try:
                content = _read(self._events, _event_name(number), EVENT_BYTES_MAX)
                self._read[number] = RegistryEvent.model_validate_json(content)
            except ValidationError:
                raise BundleError(f"Step {number} of the registry's history is damaged: restore the file.") from None
            except OSError as error:
                raise self._unreachable(error, f"step {number} of ") from None
        return self._read[number]

    def _unreachable(self, error: OSError, what: str = "") -> UnreachableRegistryError:
        return UnreachableRegistryError(
            f"{what}{self._url} cannot be read ({error.strerror or error}): check ASSAY_REGISTRY_URL and who may read it.",
            "unreadable",
        )

    def holds(self, name: str, channel: Channel) -> BundleRef | None:
        """What a line's channel holds."""
        return holder(self.history(), name, channel)

    def lines(self) -> list[str]:
        """Names of the model lines published here."""
        return sorted({event.bundle.name for event in self.history()})

    def published(self, name: str, version: int) -> BundleRef:
        """The bundle of that version. Raises BundleError."""
        for event in self.history():
            if event.action == "publish" and (event.bundle.name, event.bundle.version) == (name, version):
                return event.bundle
        raise BundleError(f"{name}/{version} is not in the registry: publish it with `assay registry publish`.")

    def content(self, bundle: BundleRef) -> bytes:
        """The container of a bundle, as it was published; not checked here. Raises BundleError."""
        try:
            return _read(self._bundles, _bundle_name(bundle), CONTAINER_BYTES_MAX)
        except FileNotFoundError:
            raise BundleError(
                f"{bundle} with digest {bundle.digest[:12]} is not in the registry.", "unreadable"
            ) from None
        except OSError as error:
            raise self._unreachable(error, f"{bundle} of ") from None

    def publish(
        self, container: bytes, event: RegistryEvent, counts: Callable[[BundleRef], bool] = lambda bundle: True
    ) -> RegistryEvent | None:
        """Add a bundle, whose container this is. None where it was there already. Raises BundleError.

        counts: whether a newer published bundle is one, signed and whole: a forged step must not forbid every later version.
        """

        def decide(history: list[RegistryEvent]) -> RegistryEvent | None:
            line = [e.bundle for e in history if e.action == "publish" and e.bundle.name == event.bundle.name]
            if event.bundle in line:
                return None
            newest = max((b.version for b in line if b.version >= event.bundle.version and counts(b)), default=0)
            if event.bundle.version <= newest:
                raise BundleError(
                    f"{event.bundle} is not newer than {event.bundle.name}/{newest}, which is published: versions only grow; "
                    "give it a higher one."
                )
            return event

        if decide(self.history()) is None:
            return None
        with contextlib.suppress(FileExistsError):  # by a process that died before the step, or is about to take it
            self._bundles.create(_bundle_name(event.bundle), container)
        return self._append(decide)

    def promote(self, event: RegistryEvent) -> RegistryEvent | None:
        """Give a channel to a published bundle, newer than its present one. None if it has the channel. Raises BundleError."""
        return self._append(lambda history: promotion(history, event))

    def rollback(self, name: str, make: Callable[[BundleRef], RegistryEvent]) -> RegistryEvent:
        """Give `champion` back to whatever held it before. make: the step, from the bundle. Raises BundleError."""
        step = self._append(lambda history: make(rolled_back_to(history, name)))
        assert step is not None, "a rollback always takes a step"
        return step

    def withdraw(
        self, name: str, make: Callable[[BundleRef], RegistryEvent], channel: Channel = "challenger"
    ) -> RegistryEvent | None:
        """Empty a channel; `champion` where nothing was there before. None where it is empty. Raises BundleError.

        make: the step, from the bundle that held it.
        """

        def decide(history: list[RegistryEvent]) -> RegistryEvent | None:
            now = holder(history, name, channel)
            if channel == "champion" and (before := previous(history, name)) is not None:
                raise BundleError(f"{before} was champion of {name} before: use `assay registry rollback`.")
            return None if now is None else make(now)

        return self._append(decide)

    def _append(self, decide: Decide) -> RegistryEvent | None:
        for _ in range(TRIES_MAX):
            numbers = self._numbers()
            step = decide(self._counted(numbers))
            if step is None:
                return None
            try:
                self._events.create(_event_name((numbers[-1] if numbers else 0) + 1), step.model_dump_json().encode())
            except FileExistsError:
                continue  # another process was first: read what it did, and decide again
            except OSError as error:
                raise UnreachableRegistryError(
                    f"{self._url} cannot be written ({error.strerror or error}): check who may write it.", "unreadable"
                ) from None
            return step
        raise BundleError("Other writers of the registry were first again and again: try once more.")


def promotion(history: list[RegistryEvent], event: RegistryEvent) -> RegistryEvent | None:
    """The step, where it may be taken; None where the channel holds the bundle. Raises BundleError."""
    assert event.channel is not None, "a promotion names its channel"
    if not any(e.action == "publish" and e.bundle == event.bundle for e in history):
        raise BundleError(f"{event.bundle} is not in the registry: publish it first.")
    now = holder(history, event.bundle.name, event.channel)
    if now == event.bundle:
        return None
    if event.channel == "champion" and now is not None and event.bundle.version < now.version:
        raise BundleError(f"{event.bundle} is older than {now}, which is champion: use `assay registry rollback`.")
    return event


def rolled_back_to(history: list[RegistryEvent], name: str) -> BundleRef:
    """The bundle that a rollback makes champion. Raises BundleError where there is none."""
    before = previous(history, name)
    if before is None:
        raise BundleError(f"No bundle of {name} was champion before the present one: there is nothing to go back to.")
    return before


def holder(history: list[RegistryEvent], name: str, channel: Channel) -> BundleRef | None:
    """What a line's channel holds after these steps. Raises BundleError where they contradict each other."""
    champion = next(iter(champions(history, name)), None)
    if channel == "champion":
        return champion
    now = None
    for event in history:
        if event.bundle.name == name and event.channel == channel:
            now = None if event.action == "withdraw" else event.bundle
    return None if now == champion else now  # it was promoted


def stepped(history: Sequence[RegistryEvent], name: str, channel: Channel, since: int) -> bool:
    """Whether one of the steps behind the first `since` is about a line's channel."""
    return any(event.bundle.name == name and event.channel == channel for event in history[since:])


def previous(history: list[RegistryEvent], name: str) -> BundleRef | None:
    """What was champion before the present one: rollbacks take promotions back, one by one."""
    held = champions(history, name)
    return held[1] if len(held) > 1 else None


def champions(history: list[RegistryEvent], name: str) -> list[BundleRef]:
    """The champion and those before it, newest first, without those that were rolled back. Raises BundleError."""
    held: list[BundleRef] = []
    for event in history:
        if event.bundle.name != name or event.channel != "champion":
            continue
        if event.action == "rollback":
            del held[-1:]
            if not held or held[-1] != event.bundle:
                raise BundleError(
                    f"The registry's history rolls back to {event.bundle}, which was not the champion of {name} before: a step "
                    "is missing or forged; restore it from a backup."
                )
        elif event.action == "promote":
            held.append(event.bundle)
        elif event.action == "withdraw":  # the first of all was taken back
            held.clear()
    return held[::-1]


def _event_name(number: int) -> str:
    return f"{number:08d}.json"


def _bundle_name(bundle: BundleRef) -> str:
    return f"{bundle.name}-{bundle.version}-{bundle.digest}.bundle"


def _read(shelf: Shelf, name: str, bytes_max: int) -> bytes:
    with shelf.open(name) as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise BundleError(f"{name} of the registry is larger than {bytes_max} bytes.", "unreadable")
    return content
