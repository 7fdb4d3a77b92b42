"""How a fit reports its progress, and how long a run of several stages has still to go."""

import time
from collections.abc import Callable, Mapping

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the epochs done and the most there will be: 0 at its start, as many as were done at its end.

A stage whose first call has more than 0 was kept by an earlier process."""


def silent(stage: str, done: int, most: int) -> None:
    """Shows nothing."""


class Outlook:
    """What is left of a run, judged by what its stages usually take and by the time that the part done so far took."""

    def __init__(self, usual: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        """usual: the time of each stage that will come, in any unit. Stages without one are left out of the account."""
        self._usual, self._clock, self._began = usual, clock, clock()
        self._kept: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._spans: dict[str, tuple[float, float]] = {}

    def report(self, stage: str, done: int, most: int) -> None:
        """A `Progress`."""
        now = self._clock()
        self._spans[stage] = (self._spans.get(stage, (now, now))[0], now)
        if stage in self._usual:
            share = done / most if most else 1.0
            self._kept.setdefault(stage, share)
            self._done[stage] = share

    @property
    def share(self) -> float:
        """Of the whole run that is done, 0 to 1."""
        return self._weight(self._done) / (sum(self._usual.values()) or 1.0)

    @property
    def left_s(self) -> float | None:
        """Seconds still to go; None while too little is done to tell."""
        worked = self._weight(self._done) - self._weight(self._kept)
        whole = sum(self._usual.values())
        if worked < whole / 100.0:
            return None
        return (self._clock() - self._began) * (whole - self._weight(self._done)) / worked

    @property
    def took_s(self) -> dict[str, float]:
        """Seconds from the first to the last report of each stage; those beside each other overlap."""
        return {stage: last - first for stage, (first, last) in self._spans.items()}

    def _weight(self, shares: Mapping[str, float]) -> float:
        return sum(share * self._usual[stage] for stage, share in shares.items())
