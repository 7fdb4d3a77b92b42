"""Structured logs: events with dotted names and key-values, never a payload, a key or a secret."""

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import structlog

from services.observability.log_filters import NoiseFilter, RepeatFilter
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings
from services.settings.secrets import without_secrets
from services.text import printable


def configure(runtime: RuntimeSettings, metrics: Metrics) -> None:
    """Set up structlog, and through it the Kafka library's records."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_trace,
        _safe,
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
    handler.addFilter(RepeatFilter(metrics))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(handlers=[handler], level=runtime.log_level, force=True)
    # G: the library prints keys and values at DEBUG, so it never gets below INFO, whatever our own level is
    logging.getLogger("aiokafka").setLevel(max(logging.INFO, logging.getLogger().level))
    # thousands of lines of the compiler's, whenever code is compiled for the first time
    logging.getLogger("numba").setLevel(max(logging.WARNING, logging.getLogger().level))


def _without_trace(_: Any, __: str, event: Any) -> Any:
    """Of an exception its type and place: words and variables of a library's may be a record's, or a password."""
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        if frames := traceback.extract_tb(error.__traceback__):
            event["raised_at"] = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    record = event.get("_record")
    if record is not None and record.name == "asyncio":  # its further lines repeat the exception
        event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _safe(_: Any, __: str, event: Any) -> Any:
    """Text of other programs in an error: without passwords of URLs and escape sequences."""
    return {key: printable(without_secrets(value)) if isinstance(value, str) else value for key, value in event.items()}
