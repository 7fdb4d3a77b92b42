"""How late the event loop is: a deadline counts from when a request came, and not from when there was time to look at it."""

import asyncio
from collections.abc import Callable

TICK_S = 0.01
FADE = 0.98
"""Of each tick's lateness, what the next one still expects: a second later a stall counts for a seventh."""
TOLERATED_S = 0.02
"""A timer that is late by less needs no margin: an answer may come 50 ms after its deadline."""


class LoopLag:
    """Ticks beside everything else, and sees by how much it is late. observe: told of each tick, in seconds."""

    def __init__(self, observe: Callable[[float], None], clock_s: Callable[[], float]) -> None:
        self._observe, self._clock_s = observe, clock_s
        self._last_due_s: float | None = None
        """When the last tick was due. It is followed by one that is due within TICK_S, so what comes later is not late."""
        self._expected_s = 0.0

    async def follow(self) -> None:
        """Until cancelled."""
        self._last_due_s = self._clock_s()
        while True:
            due_s = self._clock_s() + TICK_S
            await asyncio.sleep(TICK_S)
            self.tick(due_s)

    def tick(self, due_s: float) -> None:
        """The loop has come to what was due then."""
        self._last_due_s = due_s
        late_s = max(0.0, self._clock_s() - due_s)
        self._expected_s = max(late_s, self._expected_s * FADE)
        self._observe(late_s)

    def behind_s(self) -> float:
        """How long a request that is read at this moment may have waited for that.

        Timers come before sockets, so also what is read just behind a late tick may have waited as long as that.
        """
        if self._last_due_s is None:
            return 0.0
        return max(0.0, self._clock_s() - self._last_due_s - TICK_S)

    def margin_s(self) -> float:
        """How long before its deadline an answer has to be begun, by what the last second was like."""
        return max(0.0, self._expected_s - TOLERATED_S)
