"""What flows through a partition worker: records in, writes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.features.capture import Capture

if TYPE_CHECKING:
    from services.engine.faults import Fault
    from services.engine.placement import Subjects

Record = Any
"""An aiokafka ConsumerRecord: topic, partition, offset, timestamp, key, value, headers."""

Headers = list[tuple[str, bytes]]


@dataclass(slots=True)
class Write:
    """Records for one output topic, in order, as parallel lists. Their Kafka timestamp is that of writing.

    timestamps_ms: of the records, where they keep that of their input. places: int64[n], the partitions of the records, given
    how many the topic has; without it they stay on their input's.
    partition: where they go; None: to the input's own, so that order and one owner carry over.
    """

    topic: str
    keys: Sequence[bytes | None] = field(default_factory=list)
    values: Sequence[bytes | None] = field(default_factory=list)
    headers: Sequence[Headers] = field(default_factory=list)
    timestamps_ms: list[int] | None = None
    places: Callable[[int], NDArray[np.int64]] | None = None
    partition: int | None = None

    def append(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """One record more, where the records are in lists. value: None ends what a compacted topic has of its key."""
        self.keys.append(key)  # type: ignore[attr-defined]
        self.values.append(value)  # type: ignore[attr-defined]
        self.headers.append(headers)  # type: ignore[attr-defined]

    def by_partition(self, own: int, partitions: int) -> "list[tuple[int, Write]]":
        """What goes to which of so many partitions, each in order. own: the input's."""
        if self.places is None:
            return [(own % partitions if self.partition is None else self.partition, self)]
        found = self.places(partitions)
        return [(number, self._at(np.flatnonzero(found == number).tolist())) for number in np.unique(found).tolist()]

    def _at(self, rows: list[int]) -> "Write":
        return Write(
            self.topic,
            [self.keys[row] for row in rows],
            [self.values[row] for row in rows],
            [self.headers[row] for row in rows],
            None if self.timestamps_ms is None else [self.timestamps_ms[row] for row in rows],
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one micro-batch. faults: behind its dead letters. subjects: whose records were judged.

    judged: of the processor's own, for `committed` to count.

    carried: what the processor holds back of all that is committed with it, as text. It is kept with the offset, and given to
    `carry_on` of the processor that continues from there.
    """

    writes: Sequence[Write]
    records: int
    dead_letters: int
    faults: "Sequence[Fault]" = ()
    carried: str = ""
    subjects: "Subjects | None" = None
    judged: Any = None


class Foldable(Protocol):
    """What a restore needs of a processor. One with an attribute `stateless` that is true needs nothing of the log again."""

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError, its own state untouched, where it does not fit."""

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold records into the state exactly as `process` does, without output."""


@runtime_checkable
class Carrying(Protocol):
    """A processor that holds sums back while their records are committed."""

    def carry_on(self, carried: str) -> None:
        """What was held back when the last result was committed."""


class Processor(Foldable, Protocol):
    """A service's part of one partition: its state, and what it makes of a batch. Never shared between partitions."""

    state_key: str
    """Names the layout and meaning of the state. A snapshot under another key is not loaded."""

    def snapshot(self) -> Capture:
        """The state as it is now, which a thread reads while the state moves on. The one before is closed."""

    async def process(self, records: Sequence[Record]) -> Result:
        """Fold and judge records. The state moves on; if the outputs are not committed, the worker throws it away."""

    def refuse(self, fault: "Fault", *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises. folded: take it into the state as `absorb` does."""

    def committed(self, result: Result) -> None:
        """The result's outputs and offsets are committed: count what is in it."""

    def flush(self, *, force: bool = False) -> Result | None:
        """Outputs that are due although no record came, if any; with `force` all that are held back."""


class Stateless:
    """The part of a processor without a state."""

    stateless = True

    def snapshot(self) -> Capture:
        """Nothing: a snapshot's position and log are what a start looks at."""
        return Capture.of(dict)

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Nothing to take over."""

    def absorb(self, records: Sequence[Record]) -> None:
        """Nothing to fold."""

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""
