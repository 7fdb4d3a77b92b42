"""Traces with OpenTelemetry: a share of the micro-batches, and payments whose producer traces them. Off unless asked for.

A payment that carries a sampled W3C `traceparent` header gets a span from poll to commit, and its outputs carry that span on;
a traced batch gets a span of its own with one for each stage. Batches are linked, not nested, as the messaging conventions
have it: a batch has many producers. What a span holds are positions, counts and times; never a payload or a key.
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from models.installation import install_command
from schemas.topics import SOURCE_OFFSET_HEADER
from services.engine.batches import Record, Write
from services.errors import SettingsError
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

HEADER = "traceparent"
SAMPLED = b"01"
TRACED_RECORDS_MAX = 50
"""Payments of one batch that get a span, at most."""


class Trace(Protocol):
    """One batch, as far as it is traced."""

    def carry(self, writes: Sequence[Write]) -> None:
        """Put the spans of traced payments into the headers of their outputs."""


class Tracing(Protocol):
    """Where the spans of batches come from."""

    def batch(self, records: Sequence[Record]) -> AbstractContextManager[Trace]:
        """A batch in work, until the end of the `with`."""


class _Untraced:
    """Nothing, at no cost."""

    def batch(self, records: Sequence[Record]) -> AbstractContextManager[Trace]:
        """Not traced."""
        return _NOTHING

    def carry(self, writes: Sequence[Write]) -> None:
        """Nothing to carry."""


OFF = _Untraced()
_NOTHING: AbstractContextManager[Trace] = nullcontext(OFF)


def create(runtime: RuntimeSettings, metrics: Metrics) -> Tracing:
    """As the settings have it; where to is OpenTelemetry's own OTEL_EXPORTER_OTLP_ENDPOINT. Raises SettingsError."""
    if not runtime.trace_share:
        return OFF
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(f"ASSAY_TRACE_SHARE needs the extra `trace`: {install_command('trace')}.") from None
    provider = TracerProvider(resource=Resource.create({"service.name": runtime.group}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return BatchTracing(provider.get_tracer("assay"), runtime.trace_share, metrics)


class BatchTracing:
    """Spans by an OpenTelemetry tracer. share: of the batches that are traced although no payment in them is."""

    def __init__(self, tracer: "Tracer", share: float, metrics: Metrics) -> None:
        self._tracer, self._share, self._metrics = tracer, share, metrics
        metrics.on_stage, metrics.trace_id = self._stage, _trace_id

    @contextmanager
    def batch(self, records: Sequence[Record]) -> Iterator[Trace]:
        """The batch's span while it is in work, and one for each traced payment. What goes wrong is named, not quoted."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        parents = _parents(records)
        if not parents and random.random() >= self._share:
            yield OFF
            return
        first = records[0]
        attributes = {
            "messaging.system": "kafka",
            "messaging.destination.name": first.topic,
            "messaging.destination.partition.id": str(first.partition),
            "messaging.batch.message_count": len(records),
            "messaging.kafka.offset": first.offset,
        }
        name = f"process {first.topic}"
        with self._tracer.start_as_current_span(
            name, kind=SpanKind.CONSUMER, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            spans = {record.offset: self._payment(record, parent, span) for record, parent in parents}
            if not spans:  # a chosen batch shows the way of one payment, its first
                spans[first.offset] = self._payment(first, None, span)
            try:
                yield _Traced(spans)
            except BaseException as error:
                for failed in (span, *spans.values()):
                    failed.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
            finally:
                for payment in spans.values():
                    payment.end()

    def _payment(self, record: Record, parent: Any, batch: "Span") -> "Span":
        from opentelemetry.trace import Link, SpanKind

        return self._tracer.start_span(
            f"score {record.topic}",
            context=parent,
            kind=SpanKind.CONSUMER,
            links=[Link(batch.get_span_context())],
            attributes={
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            },
        )

    def _stage(self, name: str, started_s: float, ended_s: float) -> None:
        """A stage that is over, under the batch in work."""
        from opentelemetry.trace import get_current_span

        if get_current_span().is_recording():
            wall_ns = time.time_ns() - time.monotonic_ns()
            span = self._tracer.start_span(name, start_time=wall_ns + int(started_s * 1e9))
            span.end(wall_ns + int(ended_s * 1e9))


@dataclass(frozen=True, slots=True)
class _Traced:
    spans: dict[int, "Span"] = field(default_factory=dict)
    """Of payments, by offset."""

    def carry(self, writes: Sequence[Write]) -> None:
        """New header lists: a score, its alert and its decision share theirs."""
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried: dict[bytes, tuple[str, bytes]] = {}
        for offset, span in self.spans.items():
            carrier: dict[str, str] = {}
            TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
            carried[b"%d" % offset] = (HEADER, carrier[HEADER].encode())
        if not carried:
            return
        for write in writes:
            made = list(write.headers)
            for place, headers in enumerate(made):
                source = next((value for name, value in headers if name == SOURCE_OFFSET_HEADER), b"")
                if source in carried:
                    kept = [header for header in headers if header[0] != HEADER]  # the producer's, handed on by intake
                    made[place] = [*kept, carried[source]]
            write.headers = made


def _parents(records: Sequence[Record]) -> list[tuple[Record, Any]]:
    """The first payments whose producers sampled them, with the context to continue."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found: list[tuple[Record, Any]] = []
    for record in records:
        for name, value in record.headers:
            if name == HEADER and value and value.endswith(SAMPLED) and len(found) < TRACED_RECORDS_MAX:
                carrier = {HEADER: value.decode("ascii", "replace")}
                found.append((record, TraceContextTextMapPropagator().extract(carrier)))
    return found


def _trace_id() -> str | None:
    from opentelemetry.trace import format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else None
