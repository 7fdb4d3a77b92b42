"""Every number, string and list that crosses a boundary has a bound, and what belongs together is compared."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import JsonValue
from pydantic.fields import FieldInfo

import schemas
from schemas import codec
from schemas.base import COUNT_MAX, Message
from schemas.case import Case, CaseAction
from schemas.control import BundleRef
from schemas.metric import ScoringMetric
from schemas.monitor import DriftWindow, MonitorReport
from schemas.terminal import TerminalProfile, TerminalSums

for module in pkgutil.iter_modules(schemas.__path__):
    importlib.import_module(f"schemas.{module.name}")


def every_schema(base: type[Message] = Message) -> Iterator[type[Message]]:
    """All messages, and the parts of manifests."""
    for schema in base.__subclasses__():
        if schema.__module__.startswith("schemas."):
            yield schema
        yield from every_schema(schema)


SCHEMAS = sorted(set(every_schema()), key=lambda schema: schema.__name__)


def unbounded(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    """What of a type has no bound."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        yield from unbounded(inner, [*metadata, *more])
        return
    flat = [part for m in metadata for part in (m.metadata if isinstance(m, FieldInfo) else [m])]
    lows = [m for m in flat if isinstance(m, annotated_types.Ge)]
    highs = [m for m in flat if isinstance(m, annotated_types.Le)]
    longest = [m for m in flat if isinstance(m, annotated_types.MaxLen)]
    if annotation is JsonValue or origin is Literal or annotation in (bool, type(None)):
        return  # of a manifest's settings: bounded by the file's size
    if origin in (Union, UnionType):
        for choice in get_args(annotation):
            yield from unbounded(choice, metadata)
    elif origin in (tuple, dict):
        if not longest:
            yield f"{annotation} has no largest length"
        for part in get_args(annotation):
            if part is not ...:
                yield from unbounded(part, [])
    elif annotation in (int, float):
        if not (lows and highs):
            yield f"{annotation.__name__} has no bounds"
    elif annotation in (str, bytes):
        if not longest:
            yield f"{annotation.__name__} has no largest length"
    else:
        assert issubclass(annotation, (Message, StrEnum)), annotation


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_number_string_and_list_of_a_schema_has_its_bound(schema: type[Message]) -> None:
    """Whatever a topic or a manifest holds: none can be larger than the arrays, files and counters behind it."""
    found = {name: list(unbounded(f.annotation, f.metadata)) for name, f in schema.model_fields.items()}
    assert {name: what for name, what in found.items() if what} == {}


def test_the_walk_finds_what_has_no_bound() -> None:
    """A test that could not fail would hold nothing."""
    assert list(unbounded(int, [])) == ["int has no bounds"]
    assert list(unbounded(str | None, [])) == ["str has no largest length"]
    assert len(list(unbounded(tuple[float, ...], []))) == 2


SUMS = {"day": 1, "terminal_ids": ["t"], "payments": [1], "frauds": [0]}
PROFILE = {"terminal_id": "t", "last_day": 9, "payments": [1, 2], "frauds": [0, 1]}
METRIC = {
    "source_topic": "t",
    "source_partition": 0,
    "first_offset": 0,
    "last_offset": 9,
    "until_ms": 1,
    "model": "m",
    "records": 10,
    "scored": 8,
    "alerts": 2,
    "dead_letters": 2,
    "late": 1,
    "let_through": 1,
    "amount_sum": 1.0,
    "alert_amount_sum": 1.0,
    "probability_histogram": [8],
    "anomaly_percentile_histogram": [8],
}
QUALITY = {
    "age_days_min": 0,
    "age_days_max": None,
    "mature": True,
    "payments": 1.0,
    "frauds": 0.0,
    "alerts": 0.0,
    "fraud_alerts": 0.0,
    "labelled": 0,
}
REPORT = {"kind": "quality", "model": "m", "at_ms": 1, "quality": QUALITY}
LISTED = {
    "transaction_id": "a",
    "event_time_ms": 1,
    "terminal_id": "t",
    "amount": 1.0,
    "probability": 0.5,
    "anomaly_percentile": 1.0,
    "triggers": ["probability"],
}
REASON = {"feature": "amount", "text": "a large amount", "contribution": 0.5, "alerts": 1}
CASE = {
    "case_id": "0-1",
    "card_id": "c",
    "state": "open",
    "change": "opened",
    "version": 2,
    "priority": 1.0,
    "opened_at_ms": 1,
    "changed_at_ms": 1,
    "window_start_ms": 1,
    "window_end_ms": 2,
    "alerts": 1,
    "amount": 1.0,
    "listed": [LISTED],
    "reasons": [],
    "model": "m",
}
CONFIRM = {"action": "confirm", "case_id": "0-1", "by": "ana"}
MUTE = {"action": "mute", "scope": "card", "muted_id": "c", "by": "ana"}
REFERENCE = {"name": "fraud", "version": 1, "digest": "0" * 64}


@pytest.mark.parametrize(
    ("schema", "good", "change"),
    [
        (TerminalSums, SUMS, {"payments": [COUNT_MAX + 1]}),
        (TerminalSums, SUMS, {"frauds": [-COUNT_MAX - 1]}),
        (TerminalSums, SUMS, {"frauds": []}),
        (TerminalSums, SUMS, {"terminal_ids": ["t", "u"]}),
        (TerminalProfile, PROFILE, {"payments": [-1, 2]}),
        (TerminalProfile, PROFILE, {"payments": [2**31, 2]}),
        (TerminalProfile, PROFILE, {"payments": [1]}),
        (TerminalProfile, PROFILE, {"terminal_id": "a\nb"}),
        (ScoringMetric, METRIC, {"alerts": 9}),
        (ScoringMetric, METRIC, {"scored": 11}),
        (ScoringMetric, METRIC, {"dead_letters": 11}),
        (ScoringMetric, METRIC, {"late": 9}),
        (ScoringMetric, METRIC, {"let_through": 3}),
        (ScoringMetric, METRIC, {"both_alerts": 1}),
        (ScoringMetric, METRIC, {"first_offset": 10}),
        (DriftWindow, {"scored": 8, "records": 8}, {"alerts": 9}),
        (DriftWindow, {"scored": 8, "records": 8}, {"dead_letters": 9}),
        (DriftWindow, {"scored": 8, "records": 8}, {"challenger_alerts": 1}),
        (MonitorReport, REPORT, {"kind": "drift"}),
        (MonitorReport, REPORT, {"quality": None}),
        (Case, CASE, {"alerts": 0}),
        (Case, CASE, {"decided_version": 3}),
        (Case, CASE, {"reasons": [REASON | {"alerts": 2}]}),
        (CaseAction, CONFIRM, {"case_id": None}),
        (CaseAction, CONFIRM, {"action": "mute"}),
        (CaseAction, CONFIRM, {"action": "unmute", "scope": "card"}),
        (CaseAction, CONFIRM, {"by": ""}),
        (CaseAction, CONFIRM, {"note": "x" * 1_001}),
        (CaseAction, MUTE, {"muted_id": None}),
        (CaseAction, MUTE, {"muted_id": "a\x1b[2J"}),
        (CaseAction, MUTE, {"until_ms": 10**18}),
        (BundleRef, REFERENCE, {"name": "../../etc/x"}),
        (BundleRef, REFERENCE, {"version": 10**30}),
        (BundleRef, REFERENCE, {"digest": "/../" * 16}),
        (BundleRef, REFERENCE, {"digest": "0" * 64 + "\n"}),
    ],
)
def test_what_is_beyond_its_bound_or_does_not_fit_together_is_refused(
    schema: type[Message], good: dict[str, Any], change: dict[str, Any]
) -> None:
    """By every reader alike."""
    codec.read(schema, json.dumps(good).encode())
    payload = json.dumps(good | change).encode()
    with pytest.raises(codec.SchemaError):
        codec.read(schema, payload)
    with pytest.raises(codec.SchemaError):
        codec.decoder(schema)(payload)


def test_a_pattern_ends_where_the_text_does() -> None:
    """Python's `$` also matches before a last line break."""
    assert "0-1\n" not in str(Case.model_fields["case_id"])
    decode = codec.decoder(BundleRef)
    with pytest.raises(codec.SchemaError):
        decode(json.dumps(REFERENCE | {"name": "fraud\n"}).encode())
