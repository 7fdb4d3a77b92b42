"""A record that cannot be handled is logged, counted and skipped: it ends neither a service nor its next start."""

import traceback
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import FaustError

from schemas.codec import RejectedError
from services.errors import AssayError
from services.observability.metrics import Metrics

log = structlog.get_logger(__name__)

OF_THE_SURROUNDINGS = (KafkaError, FaustError, AssayError, OSError, TimeoutError, MemoryError)
"""Errors that another attempt may not meet: broker, network, disk. Any other was the record's."""


class Skipped:
    """What one process leaves out."""

    def __init__(self, metrics: Metrics) -> None:
        self._count = metrics.skipped

    def of(self, topic: str) -> None:
        """Count from 0, so that the first one is a rise."""
        self._count.labels(topic)

    def record(self, message: Any, why: str, at: list[str] | None = None) -> None:
        """One record, of a Faust message or of aiokafka."""
        self._count.labels(message.topic).inc()
        where = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
        log.error("record.skipped", **where, why=why, **({"at": at} if at else {}))

    def work(self, name: str, error: Exception) -> None:
        """A timer's work on one item. Raises the error again where the environment is at fault."""
        if isinstance(error, OF_THE_SURROUNDINGS):
            raise error
        self._count.labels(name).inc()
        log.error("work.skipped", work=name, why=reason(error), at=places(error))


def reason(error: Exception) -> str:
    """Without quoting the payload."""
    return str(error) if isinstance(error, RejectedError) else type(error).__name__


def places(error: BaseException) -> list[str]:
    """Where an error was raised, without a local variable: they hold payloads."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
