"""Traces: what is spanned, what is carried on, and nothing when off."""

from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from schemas.topics import source_headers
from services.clock import monotonic_s
from services.engine import tracing
from services.engine.batches import Headers, Write
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Input:
    """As much of a consumer record as tracing reads."""

    offset: int
    headers: Headers = field(default_factory=list)
    topic: str = "transactions"
    partition: int = 0


def sampled(flag: str = "01") -> Headers:
    """What a producer that traces its payments sends along."""
    return [("traceparent", f"00-{TRACE}-{PARENT}-{flag}".encode())]


def written(*offsets: int) -> Write:
    """One output of each input."""
    write = Write("scores")
    for offset in offsets:
        write.append(b"card", b"{}", source_headers("transactions", 0, offset, 0))
    return write


def recorder(share: float) -> tuple[tracing.BatchTracing, InMemorySpanExporter, Metrics]:
    """Tracing into memory."""
    exporter, provider, metrics = InMemorySpanExporter(), TracerProvider(), Metrics()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return tracing.BatchTracing(provider.get_tracer("test"), share, metrics), exporter, metrics


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def test_a_traced_payment_goes_on_in_its_outputs_and_no_other_does() -> None:
    """The producer's trace, through our span, into the headers of what came of it."""
    traced, exporter, _ = recorder(0.0)
    write = written(1, 2)
    shared = write.headers[0]
    with traced.batch([Input(1, sampled()), Input(2), Input(3, sampled("00"))]) as trace:
        trace.carry([write])
    (payment,) = named(exporter, "score transactions")
    (batch,) = named(exporter, "process transactions")
    assert payment.parent is not None
    assert (f"{payment.context.trace_id:032x}", f"{payment.parent.span_id:016x}") == (TRACE, PARENT)
    assert [link.context.span_id for link in payment.links] == [batch.context.span_id]
    carried = dict(write.headers[0])["traceparent"].decode()
    assert carried == f"00-{TRACE}-{payment.context.span_id:016x}-01"
    assert "traceparent" not in dict(write.headers[1])
    assert "traceparent" not in dict(shared)


def test_a_stage_is_a_span_under_its_batch() -> None:
    """And the histogram's exemplar may name the trace."""
    traced, exporter, metrics = recorder(1.0)
    started_s = monotonic_s()
    with traced.batch([Input(1)]):
        metrics.observe_stage("fold", started_s)
        trace_id = metrics.trace_id()
    (stage,), (batch,) = named(exporter, "fold"), named(exporter, "process transactions")
    assert stage.parent is not None
    assert stage.parent.span_id == batch.context.span_id
    assert trace_id == f"{batch.context.trace_id:032x}"
    assert metrics.trace_id() is None
    metrics.observe_stage("fold", started_s)
    assert len(named(exporter, "fold")) == 1


def test_a_batch_that_fails_names_its_error_and_quotes_nothing() -> None:
    """A client's message may hold anything."""
    traced, exporter, _ = recorder(1.0)
    with pytest.raises(TimeoutError), traced.batch([Input(1)]):
        raise TimeoutError("a secret")
    for span in exporter.get_finished_spans():
        assert span.status.description == "TimeoutError"
        assert list(span.events) == []


def test_payments_that_are_traced_are_bounded() -> None:
    """A producer that samples everything does not fill our memory."""
    traced, exporter, _ = recorder(0.0)
    with traced.batch([Input(offset, sampled()) for offset in range(3 * tracing.TRACED_RECORDS_MAX)]):
        pass
    assert len(named(exporter, "score transactions")) == tracing.TRACED_RECORDS_MAX


def test_off_is_one_shared_object_that_makes_and_carries_nothing() -> None:
    """Whatever the producers send."""
    off = tracing.create(RuntimeSettings(), Metrics())
    write = written(1)
    with off.batch([Input(1, sampled())]) as trace:
        trace.carry([write])
    assert off is tracing.OFF
    assert "traceparent" not in dict(write.headers[0])
