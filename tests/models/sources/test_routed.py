"""What the user's spec reads from a record, the derived spec reads from the event that is made of it, bit for bit."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sources.events import Events
from models.sources.parser import EventParser
from models.sources.routed import EventWriter, events_spec, in_log
from models.sources.spec_file import default_source, parse_source, topic_of, users_topic
from schemas import codec
from schemas.event import Event
from schemas.source_spec import EventFields, SourceSpec
from tests.models.sources.test_parser import EVENT, NESTED

TIMES = {
    "iso8601": {"format": "iso8601"},
    "s": {"unit": "s"},
    "ms": {"unit": "ms"},
    "us": {"unit": "us"},
    "ns": {"unit": "ns"},
    "pattern": {"format": "%d/%m/%Y %H:%M:%S.%f", "time_zone": "Asia/Tokyo"},
}
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-(10**6), 10**6), st.decimals(-(10**6), 10**6, places=3).map(str), st.just(-0.0)
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)
MISSING = st.sampled_from([None, "absent"])


def written_time(form: str, ms: int) -> Any:
    """A time as a user's system writes it."""
    if form == "iso8601":
        offset = timezone(timedelta(minutes=ms % 1400 - 700))
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(offset).isoformat()
    if form == "pattern":
        local = datetime(1970, 1, 1) + timedelta(milliseconds=ms, hours=9)
        return local.strftime("%d/%m/%Y %H:%M:%S.%f")
    return {"s": ms / 1000, "ms": ms, "us": ms * 1000, "ns": str(ms * 1_000_000)}[form]


@st.composite
def sources(draw: st.DrawFn) -> tuple[SourceSpec, str]:
    """A spec of a nested layout, and how it writes times."""
    form = draw(st.sampled_from(sorted(TIMES)))
    amount: dict[str, Any] = {
        "path": "money.value",
        "at_least": -1e9,
        "sign": draw(st.sampled_from(["as_given", "reversed"])),
    }
    amount["scale"] = draw(st.one_of(st.integers(0, 9), st.just({"path": "money.digits"})))
    if draw(st.booleans()):
        amount["negative_where"] = {"path": "kind", "equals": "REFUND"}
    event: dict[str, Any] = {
        "id": {"path": "head.id"},
        "time": {"path": "head.at", **TIMES[form]},
        "subject": {"path": "who[0].token"},
        "counterparty": {"path": "shop.id", "required": False},
        "amount": amount,
        "currency": draw(st.sampled_from([{"fixed": "EUR"}, {"path": "money.currency"}])),
        "mcc": {"path": "shop.code"},
    }
    attributes: dict[str, Any] = {
        "price": {"type": "number", "path": "items[1].price", "scale": draw(st.integers(0, 9))},
        "trusted": {"type": "flag", "path": "trusted", "yes": ["Y", "1"], "no": ["N", "0"]},
        "present": {"type": "flag", "path": "present"},
        "device": {"type": "id", "path": "device"},
        "sku": {"type": "category", "path": '["the.sku"]', "values": ["a", "b", "7"]},
        "free": {"type": "category", "path": "free"},
        "ip": {"type": "ip", "path": "ip"},
        "opened": {"type": "time", "path": "opened", **TIMES[form]},
        "place": {"type": "geo", "latitude": "at.lat", "longitude": "at.lon"},
        "note": {"type": "text", "path": "note", "personal": True},
    }
    spec = {"version": 1, "topic": "t", "routed": True, "event": event, "attributes": attributes}
    return SourceSpec.model_validate_json(json.dumps(spec)), form


@st.composite
def records(draw: st.DrawFn, form: str) -> bytes:
    """A record of that layout; anything that may be missing sometimes is."""
    times = st.integers(0, 4_000_000_000_000).map(lambda ms: written_time(form, ms))
    latitude, longitude = draw(
        st.one_of(st.tuples(st.floats(-90, 90), st.floats(-180, 180).map(str)), st.just((None, None)))
    )
    record = {
        "kind": draw(st.sampled_from(["AUTH", "REFUND"])),
        "head": {"id": draw(st.one_of(WORDS.filter(bool), st.integers(0, 2**63 - 1))), "at": draw(times)},
        "who": [{"token": draw(WORDS.filter(bool))}, 7],
        "shop": draw(
            st.one_of(
                MISSING, st.fixed_dictionaries({"id": st.one_of(WORDS, st.integers(0, 99)), "code": st.just(5411)})
            )
        ),
        "money": {
            "value": draw(NUMBERS),
            "digits": draw(st.integers(0, 9)),
            "currency": draw(st.sampled_from(["EUR", "", None])),
        },
        "items": [None, {"price": draw(st.one_of(NUMBERS, st.sampled_from([None, ""])))}],
        "trusted": draw(st.one_of(MISSING, st.sampled_from(["Y", "N", 1, 0, True, False, ""]))),
        "present": draw(st.one_of(MISSING, st.sampled_from([True, False, "true", ""]))),
        "device": draw(st.one_of(MISSING, WORDS, st.integers(0, 10**9))),
        "the.sku": draw(st.sampled_from(["a", "b", 7, "", None, "absent"])),
        "free": draw(st.one_of(MISSING, WORDS)),
        "ip": draw(st.one_of(MISSING, st.ip_addresses().map(str))),
        "opened": draw(st.one_of(MISSING, times)),
        "at": {"lat": latitude, "lon": longitude},
        "note": draw(st.one_of(MISSING, WORDS)),
    }
    return json.dumps({name: value for name, value in record.items() if value != "absent"}).encode()


def columns(events: Events, names: tuple[str, ...]) -> dict[str, Any]:
    """Every column, numbers as their bits."""
    found = {name: events.column(name) for name in (*EventFields.model_fields, *names)}
    return {
        name: column.tobytes() if isinstance(column, np.ndarray) else list(column) for name, column in found.items()
    }


@pytest.mark.slow
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_derived_spec_reads_from_an_event_what_the_users_spec_reads_from_the_record(data: st.DataObject) -> None:
    """Numbers, decimal strings, scales, refunds, times, flags, categories, places, addresses, texts, and what is missing."""
    source, form = data.draw(sources())
    payloads = data.draw(st.lists(records(form), min_size=1, max_size=5))
    users, ours = EventParser(source), EventParser(events_spec(source))
    accepted = []
    for payload in payloads:
        try:
            accepted.append(users.row(payload))
        except codec.RejectedError:
            continue
    if not accepted:
        return
    before = users.events(accepted)
    values = EventWriter(users).encode(before)
    after = ours.batch(values)
    assert after is not None, [ours.row(value) for value in values]
    assert columns(after, ours.attributes) == columns(before, users.attributes)
    assert [ours.row(value) for value in values]
    assert EventWriter(ours).encode(after) == values
    for value in values:
        codec.read(Event, value)


def test_an_event_is_flat_json_under_names_of_our_own() -> None:
    """The nested example, whole."""
    source = parse_source(NESTED + "routed: true\n")
    users = EventParser(source)
    (value,) = EventWriter(users).encode(users.events([users.row(json.dumps(EVENT).encode())]))
    assert json.loads(value) == {
        "id": "e-1",
        "time": 1_767_218_400_123,
        "subject": "c-1",
        "counterparty": "m-1",
        "amount": 12.34,
        "currency": "EUR",
        "device": "d-1",
        "ip": "2001:db8::1",
        "price": 3.5,
        "sku": "b",
        "place.latitude": 54.7,
        "place.longitude": 25.3,
        "opened": 1_593_771_300_000,
        "trusted": True,
        "note": "thanks",
    }


def test_the_scorer_reads_a_routed_source_from_events_and_any_other_directly() -> None:
    """The spec says which; what is derived of a derived spec is the same again."""
    source = parse_source(NESTED)
    routed = source.model_copy(update={"routed": True})
    assert (topic_of(None).name, topic_of(source).name, topic_of(routed).name) == (
        "transactions",
        source.topic,
        "events",
    )
    assert users_topic(routed).name == source.topic
    assert in_log(source) is source
    assert in_log(None) is None
    assert in_log(routed) == events_spec(routed) == events_spec(events_spec(routed))
    assert source.digest() != routed.digest()
    assert events_spec(default_source()).event.mcc == default_source().event.mcc
