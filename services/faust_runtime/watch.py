"""Detects a consumer without progress: records wait, and nothing is fetched or finished."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an app found. positions: None where the consumer does not know its own.

    recovered: how far its tables have been read back. A large one takes minutes, which is progress too.
    """

    started: bool
    positions: Mapping[TopicPartition, int | None]
    ends: Mapping[TopicPartition, int]
    handled: int
    unfinished: bool
    recovered: int = 0

    @property
    def lags(self) -> dict[TopicPartition, int]:
        """Records not fetched, by partition."""
        return {tp: max(0, self.ends[tp] - (at or 0)) for tp, at in self.positions.items() if tp in self.ends}

    @property
    def waiting(self) -> bool:
        """Whether there is something to do. An app that has not started, or has no broker, has all of it to do."""
        unknown = any(at is None or tp not in self.ends for tp, at in self.positions.items())
        return not self.started or unknown or self.unfinished or any(self.lags.values())


@dataclass(slots=True)
class GapWatch:
    """Follows the committed offsets, and how long one has not moved although later records are done."""

    _since: dict[TopicPartition, tuple[int | None, float]] = field(default_factory=dict)

    def look(self, gaps: Mapping[TopicPartition, int | None], now_s: float) -> float:
        """Seconds of the oldest; 0 where there is none."""
        known = self._since
        self._since = {
            tp: known[tp] if tp in known and known[tp][0] == committed else (committed, now_s)
            for tp, committed in gaps.items()
        }
        return max((now_s - since_s for _, since_s in self._since.values()), default=0.0)


@dataclass(slots=True)
class Watch:
    """Looks at one app again and again, and knows for how long it has not moved although it should."""

    since_s: float
    _last: tuple[Any, ...] = field(default=())

    def look(self, found: Look, now_s: float) -> float:
        """Seconds without progress while records were waiting; 0 where none are."""
        state = (found.started, dict(found.positions), found.handled, found.recovered)
        if state != self._last or not found.waiting:
            self._last, self.since_s = state, now_s
        return now_s - self.since_s
