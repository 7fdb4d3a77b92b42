"""Structured logs: events with dotted names and key-values, never a payload, a key or a secret."""

import logging
from typing import Any

import structlog

from services.runtime.metrics import Metrics
from services.runtime.settings import RuntimeSettings

RETRIABLE_NOISE = ("NotEnoughReplicasError", "ConcurrentTransactions")
"""H: answered to an old client many times a second while the broker verifies a transaction; counted, not logged."""


def configure(runtime: RuntimeSettings, metrics: Metrics) -> None:
    """Set up structlog, and through it the Kafka library's records."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if runtime.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.addFilter(NoiseFilter(metrics))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(handlers=[handler], level=runtime.log_level, force=True)
    # G: the library prints keys and values at DEBUG, so it never gets below INFO, whatever our own level is
    logging.getLogger("aiokafka").setLevel(max(logging.INFO, logging.getLogger().level))


class NoiseFilter(logging.Filter):
    """Counts the Kafka library's retriable errors and keeps them out of the log."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

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
