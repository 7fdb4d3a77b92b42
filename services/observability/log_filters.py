"""What is kept out of the log: the Kafka library's retriable errors, and the hundredth repetition of one fault."""

import logging
from collections.abc import Callable
from typing import Any

from services.clock import monotonic_s
from services.observability.metrics import Metrics

RETRIABLE_NOISE = ("NotEnoughReplicasError", "ConcurrentTransactions")
"""H: answered to an old client many times a second while the broker verifies a transaction; counted, not logged."""

REPEATS_MAX = 10
WINDOW_S = 60.0
FAULTS_MAX = 1000
"""Distinct faults. When there are more, counting starts over: memory is bounded, a few lines too many are not a harm."""


class NoiseFilter(logging.Filter):
    """Counts the Kafka library's retriable errors and keeps them out of the log."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics
        for error in RETRIABLE_NOISE:
            metrics.retriable.labels(error)

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a known retriable error."""
        if record.levelno > logging.WARNING:
            return True
        text = record.getMessage()
        for error in RETRIABLE_NOISE:
            if error in text:
                self._metrics.retriable.labels(error).inc()
                return False
        return True


class RepeatFilter(logging.Filter):
    """Lets the same fault through REPEATS_MAX times in WINDOW_S; the next line after that says how many were held back.

    The same: event, topic, partition and error of our own lines; logger and template of a library's. Information is no fault.
    """

    def __init__(self, metrics: Metrics, now_s: Callable[[], float] = monotonic_s) -> None:
        super().__init__()
        self._metrics, self._now_s = metrics, now_s
        self._seen: dict[tuple[Any, ...], list[float]] = {}
        """By fault: when its window began, and lines in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a repetition beyond the limit."""
        if record.levelno < logging.WARNING:
            return True
        fault, now_s = _fault(record), self._now_s()
        if fault not in self._seen and len(self._seen) >= FAULTS_MAX:
            self._seen.clear()
        window = self._seen.setdefault(fault, [now_s, 0.0])
        if now_s - window[0] >= WINDOW_S:
            held_back = int(max(0.0, window[1] - REPEATS_MAX))
            window[:] = [now_s, 0.0]
            if held_back:
                _say(record, held_back)
        window[1] += 1
        if window[1] <= REPEATS_MAX:
            return True
        self._metrics.held_back.inc()
        return False


def _fault(record: logging.LogRecord) -> tuple[Any, ...]:
    if isinstance(record.msg, dict):  # one of ours, passing through structlog
        event = record.msg
        return (event.get("event"), event.get("topic"), event.get("partition"), event.get("error"))
    return (record.name, record.levelno, str(record.msg))


def _say(record: logging.LogRecord, held_back: int) -> None:
    if isinstance(record.msg, dict):
        record.msg["held_back"] = held_back
    else:
        record.msg = f"{record.msg} ({held_back} more of these were held back)"
