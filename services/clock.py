"""The two clocks: one for people and records, one for waiting. No score ever depends on either."""

import time


def wall_ms() -> int:
    """Wall-clock time, ms since 1970 UTC. May jump."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds for intervals and timeouts. Never jumps."""
    return time.monotonic()
