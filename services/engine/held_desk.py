"""Held partitions over HTTP: GET /held shows them, POST /held decides about one. Called from the server's threads."""

import asyncio
import json
from typing import Any, Protocol

from services.engine.held import Decision, Held

ANSWER_S_MAX = 5.0


class _Holding(Protocol):
    """What holds partitions: the group."""

    def held(self) -> list[Held]:
        """Partitions that wait for an operator."""

    def decide(self, partition: str, decision: Decision) -> bool:
        """False where the partition is not held there."""


class HeldDesk:
    """Shows what is held, and hands an operator's decision to the event loop."""

    def __init__(self, group: _Holding) -> None:
        self._group = group
        self._loop = asyncio.get_running_loop()

    def shown(self) -> tuple[int, bytes]:
        """Status and body: every held partition of this process with its records' faults, never a payload."""
        return 200, _json([held.as_dict() for held in self._group.held()])

    def decided(self, body: bytes) -> tuple[int, bytes]:
        """Status and body. The decision names the offset at which the partition is held: a late one changes nothing."""
        try:
            asked = json.loads(body)
            partition, first, below = asked["partition"], asked["first_offset"], asked["let_through_below"]
            if not isinstance(partition, str) or type(first) is not int or type(below) not in (int, type(None)):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            return 400, _json({"error": "partition, first_offset and let_through_below are needed"})
        deciding = asyncio.run_coroutine_threadsafe(self._decide(partition, Decision(first, below)), self._loop)
        try:
            done = deciding.result(ANSWER_S_MAX)
        except TimeoutError:
            return 503, _json({"error": "the process is busy: ask again"})
        if not done:
            return 409, _json({"error": f"{partition} is not held at offset {first} by this process"})
        return 200, _json({"partition": partition})

    async def _decide(self, partition: str, decision: Decision) -> bool:
        return self._group.decide(partition, decision)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
