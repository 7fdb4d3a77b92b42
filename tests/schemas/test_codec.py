"""The derived decoder and pydantic accept and refuse the same, whatever comes."""

import functools
import json
import traceback
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import codec
from schemas.base import Message
from schemas.dead_letter import DeadLetter
from schemas.label import Label
from schemas.reference import FeatureHistogram, Reference
from schemas.topics import TOPICS
from schemas.transaction import Transaction

SCHEMAS = [topic.schema for topic in TOPICS]
TRANSACTION = {"transaction_id": "t", "event_time_ms": 1, "card_id": "c", "terminal_id": "m", "amount": 1.5}
MARK = "4000-mark"

numbers = st.one_of(
    st.integers(-2, 2),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        [2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, 4_102_444_800_000, 4_102_444_800_001]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1.0000000000000002, 100.0, 1e9, 1e308, 5e-324]),
)
texts = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["", "fraud", "alert", "pass", "schema", "probability", "NaN", "é" * 64, "x" * 65, "😀" * 64]),
    st.sampled_from(["a" * 64, "a" * 64 + "\n", "A" * 64, "credit-2", "credit-2\n", "../credit"]),
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def fitting(annotation: Any) -> st.SearchStrategy[Any]:
    """JSON values of a field's type, its bounds not minded: some fit, some just miss."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return fitting(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return st.one_of([fitting(choice) for choice in get_args(annotation)])
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin is dict:
        names, values = get_args(annotation)
        return st.dictionaries(fitting(names), fitting(values), max_size=3)
    if origin is tuple:
        return st.lists(fitting(get_args(annotation)[0]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return documents(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return st.sampled_from([member.value for member in annotation])
    plain = {
        int: st.integers(0, 100) | numbers,
        float: st.floats(0, 1) | numbers,
        str: st.text(min_size=1, max_size=8) | st.text("0123456789abcdef", min_size=64, max_size=64) | texts,
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain[annotation]


@st.composite
def documents(draw: st.DrawFn, schema: type[Message]) -> dict[str, Any]:
    """A JSON object that fits the schema nearly always: now and then a field is left out, wrong, or unknown."""
    document = {}
    for name, field in schema.model_fields.items():
        chance = draw(st.integers(0, 40))
        if chance == 0 or (chance < 10 and not field.is_required()):
            continue
        document[name] = draw(anything if chance == 1 else fitting(field.annotation))
    if draw(st.integers(0, 4)) == 0:
        document[draw(texts)] = draw(anything)
    return document


def accepted_by_decoder(schema: type[Message], payload: bytes) -> dict[str, Any] | None:
    try:
        message = codec.decoder(schema)(payload)
    except codec.RejectedError:
        return None
    return json.loads(codec.encode(message))


def refusal_words(schema: type[Message], payload: bytes) -> str:
    try:
        codec.decoder(schema)(payload)
    except codec.RejectedError as error:
        return "".join(traceback.format_exception(error, limit=0))
    return ""


def accepted_by_pydantic(schema: type[Message], payload: bytes) -> dict[str, Any] | None:
    try:
        return json.loads(codec.write(schema.model_validate_json(payload)))
    except ValidationError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_decoder_and_pydantic_agree_on_random_messages(schema: type[Message], data: st.DataObject) -> None:
    """Same verdict, and the same content where both accept."""
    payload = json.dumps(data.draw(documents(schema))).encode()
    assert accepted_by_decoder(schema, payload) == accepted_by_pydantic(schema, payload)


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_decoder_and_pydantic_agree_on_damaged_bytes(data: st.DataObject) -> None:
    """Cut short, bytes changed, bytes put in: in known and in unknown fields."""
    document = TRANSACTION | {"extra": {"a": [1, "é", None]}}
    payload = bytearray(json.dumps(document, ensure_ascii=data.draw(st.booleans())).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        inserted = data.draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"1e999", b"\xed\xa0\x80", b"[", b"}", b","])
        )
        payload[at : at + data.draw(st.integers(0, 3))] = inserted
        payload = payload or bytearray(b" ")
    assert accepted_by_decoder(Transaction, bytes(payload)) == accepted_by_pydantic(Transaction, bytes(payload))


EDGES = {
    "an integer for a float": b'{"amount": 2}',
    "a float for an integer": b'{"event_time_ms": 1.0}',
    "an exponent for an integer": b'{"event_time_ms": 1e3}',
    "a boolean for a number": b'{"amount": true}',
    "a number as text": b'{"amount": "1.5"}',
    "minus zero": b'{"amount": -0.0, "event_time_ms": -0}',
    "beyond double": b'{"amount": 1e400}',
    "an integer of 5000 digits": b'{"amount": 1' + b"0" * 5000 + b"}",
    "below double": b'{"amount": 1e-400}',
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": Infinity}',
    "a lone surrogate, escaped": b'{"card_id": "\\ud800"}',
    "a lone surrogate, encoded": b'{"card_id": "\xed\xa0\x80"}',
    "a surrogate pair": b'{"card_id": "\\ud83d\\ude00"}',
    "not UTF-8": b'{"card_id": "\xff"}',
    "not UTF-8 in an unknown field": b'{"extra": "\xff"}',
    "not UTF-8 in an unknown name": b'{"\xff": 1}',
    "a null character": b'{"card_id": "\\u0000"}',
    "a line break in text": b'{"card_id": "a\nb"}',
    "a key twice": b'{"amount": 1, "amount": 2}',
    "64 characters of four bytes": b'{"card_id": "%s"}' % ("😀" * 64).encode(),
    "null where allowed": b'{"currency": null}',
    "null where not allowed": b'{"amount": null}',
    "a byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("edge", EDGES)
def test_decoder_and_pydantic_agree_on_the_edges_of_json(edge: str) -> None:
    """Those that parsers are known to differ on, put into an otherwise good message."""
    start, _, rest = EDGES[edge].partition(b"{")
    good = json.dumps(TRANSACTION).encode()
    overriding = good[:-1] + b", " + rest if rest != b"}" else good
    payload = start + overriding
    assert accepted_by_decoder(Transaction, payload) == accepted_by_pydantic(Transaction, payload)


@pytest.mark.parametrize("addition", [b'"extra": NaN', b'"extra": [-Infinity]', b'"amount": "x", "amount": 2'])
def test_where_pydantics_parser_is_laxer_read_refuses_like_the_decoder(addition: bytes) -> None:
    """NaN or Infinity where nothing looks, and a field given twice."""
    payload = json.dumps(TRANSACTION).encode()[:-1] + b", " + addition + b"}"
    assert accepted_by_pydantic(Transaction, payload) is not None
    with pytest.raises(codec.RejectedError):
        codec.read(Transaction, payload)


STRICTER = [b'"extra": ' + b"9" * 4301, b'"extra": [-' + b"9" * 60_000 + b"]"]


@pytest.mark.parametrize("addition", STRICTER, ids=lambda addition: addition[:20].decode())
def test_where_pydantics_parser_is_stricter_read_accepts_like_the_decoder(addition: bytes) -> None:
    """Two parsers that disagree raise what no caller expects: a number of 4,301 digits ended every service that read it."""
    payload = json.dumps(TRANSACTION).encode()[:-1] + b", " + addition + b"}"
    assert accepted_by_decoder(Transaction, payload) is not None
    assert codec.read(Transaction, payload).amount == 1.5


READ = list(dict.fromkeys([*SCHEMAS, Reference]))
DAMAGE = [b"9" * 4301, b"1e999", b"\\ud800", b'"', b"\x00", b"\xff", b"[" * 150, b"-", b"null", b"NaN", b"}", b", "]


@pytest.mark.slow
@pytest.mark.parametrize("schema", READ, ids=lambda schema: schema.__name__)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_read_gives_what_the_decoder_gives_or_refuses_in_its_words(schema: type[Message], data: st.DataObject) -> None:
    """Of every schema, whole and damaged: one verdict, one kind of exception, the same content."""
    payload = bytearray(json.dumps(data.draw(documents(schema))).encode())
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(payload)))
        payload[at : at + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(DAMAGE) | st.binary(max_size=2))
    refusal = refusal_words(schema, bytes(payload))
    if refusal:
        with pytest.raises(codec.RejectedError) as refused:
            codec.read(schema, bytes(payload))
        assert "".join(traceback.format_exception(refused.value, limit=0)) == refusal
    else:
        message = codec.read(schema, bytes(payload))
        assert json.loads(codec.write(message)) == accepted_by_decoder(schema, bytes(payload))


def test_a_schemas_own_rule_is_a_refusal_that_repeats_nothing() -> None:
    """In the decoder, in a batch and in `read`; a validator's words may hold the payload."""
    histogram = {"name": MARK, "median": 0.0, "edges": [0.0, 1.0], "counts": [1, 2]}
    payload = json.dumps(histogram).encode()
    assert codec.batch_decoder(FeatureHistogram)([payload]) is None
    assert MARK not in refusal_words(FeatureHistogram, payload)
    for parse in (codec.decoder(FeatureHistogram), functools.partial(codec.read, FeatureHistogram)):
        with pytest.raises(codec.SchemaError, match=r"\(value_error\)"):
            parse(payload)


def nested(levels: int) -> bytes:
    return json.dumps(TRANSACTION).encode()[:-1] + b', "extra": ' + b"[" * levels + b"]" * levels + b"}"


def test_nesting_is_limited_to_a_stated_depth_wherever_it_is() -> None:
    """The same at every stack depth: one level more is too deep, in fields that no one reads as well."""
    assert accepted_by_decoder(Transaction, nested(codec.NESTING_MAX - 1)) is not None
    for payload in (nested(codec.NESTING_MAX), nested(50_000), b'{"a":' * 20_000):
        with pytest.raises(codec.TooDeepError, match="deeper than 100 levels"):
            codec.decoder(Transaction)(payload)


def test_brackets_in_text_do_not_count_as_nesting() -> None:
    """Nor do escaped quotes end a text."""
    payload = json.dumps(TRANSACTION | {"extra": '\\"[{' * 500}).encode()
    assert accepted_by_decoder(Transaction, payload) is not None


def test_a_batch_is_decoded_whole_or_not_at_all() -> None:
    """And refused by the same rules as one message."""
    good, batch = json.dumps(TRANSACTION).encode(), codec.batch_decoder(Transaction)
    decoded = batch([good, good])
    assert decoded is not None
    assert [message.amount for message in decoded] == [1.5, 1.5]
    assert batch([]) == []
    for bad in (good[:-1], good[:-1] + b', "x": "\xff"}', nested(200), good.replace(b"1.5", b"-1")):
        assert batch([good, bad, good]) is None


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_refusal_repeats_a_word_of_the_payload(data: st.DataObject) -> None:
    """The words go to logs and dead letters."""
    schema = data.draw(st.sampled_from([Transaction, Label, DeadLetter]))
    document = data.draw(documents(schema))
    poison = data.draw(st.sampled_from([MARK, f"{MARK}' - at `$.{MARK}`", f"Expected `{MARK}`"]))
    document[data.draw(st.sampled_from([*schema.model_fields]))] = data.draw(
        st.sampled_from([poison, {poison: poison}, [poison]])
    )
    document[poison] = poison
    payload = json.dumps(document).encode()[: data.draw(st.sampled_from([None, -1]))]
    assert MARK not in refusal_words(schema, payload)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": -1}, "Expected `float` >= 0.0 at $.amount"),
        ({"card_id": ""}, "Expected `str` of length >= 1 at $.card_id"),
        ({"currency": 5}, "Expected `str | null` at $.currency"),
    ],
)
def test_a_refusal_says_which_field_and_what_was_expected(change: dict[str, Any], words: str) -> None:
    """Enough to fix the producer without seeing the payload."""
    with pytest.raises(codec.SchemaError) as refusal:
        codec.read(Transaction, json.dumps(TRANSACTION | change).encode())
    assert str(refusal.value) == words


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_the_twin_has_the_schemas_fields_and_defaults(schema: type[Message]) -> None:
    """Nothing is declared twice, nothing gets lost."""
    twin = {field.name: field for field in msgspec.structs.fields(codec.record_type(schema))}
    assert list(twin) == list(schema.model_fields)
    for name, field in schema.model_fields.items():
        assert twin[name].required == field.is_required()
        made = twin[name].default_factory
        assert field.is_required() or field.default == (twin[name].default if made is msgspec.NODEFAULT else made())
