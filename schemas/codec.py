"""Bytes to schema and back: the only place that does it.

Records are JSON, UTF-8. On the hot path pydantic's own parser costs 2-4 us a record and msgspec 0.5 (docs/decisions), so the
msgspec types are derived here from the pydantic models, field by field with their constraints; `tests/schemas` shows with
random messages that both accept and refuse the same. Bytes are parsed once, by the derived decoder: `read` makes the pydantic
model of what it found, and a schema's own validators run in both. So what one part of Assay refuses no other accepts, and every
refusal is a RejectedError.
"""

import functools
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from types import GenericAlias, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import annotated_types
import msgspec
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from schemas.base import Message

M = TypeVar("M", bound=Message)
T = TypeVar("T")

NESTING_MAX = 100
"""Arrays and objects within each other. Without it the limit would be the parser's, and move with version and stack."""

_STRUCTURE = re.compile(rb'\\.|["{}\[\]]', re.DOTALL)
_SAFE_WORDS = re.compile(
    r"Expected `[a-z |]+`(?: of length)?(?: [<>]=? [-+.\de]+)?|Object missing required field `[^`]{1,256}`"
    r"|Number out of range|Integer value out of range|Invalid enum value"
)
_PATH = re.compile(r" - at `(\$[^`]*)`$")
"""Of names that the type declares and places in lists: msgspec writes `[...]` for the keys of a mapping."""

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""Bytes of a record made by a `record_type`."""


class RejectedError(ValueError):
    """A payload that is not a message of its schema. `str()` of it holds no word of the payload."""


class UndecodableError(RejectedError):
    """Not JSON, not UTF-8, or cut short."""


class TooDeepError(RejectedError):
    """Nested deeper than NESTING_MAX."""


class SchemaError(RejectedError):
    """JSON, but a field is missing, of the wrong type or out of its range."""


class UnknownSchemaError(RejectedError):
    """Written with a schema that the registry does not have, or that cannot be used."""


def write(message: Message) -> bytes:
    """Bytes of a message, off the hot path."""
    return message.model_dump_json().encode()


def read(schema: type[M], payload: bytes) -> M:
    """The message in `payload` as pydantic model, off the hot path. Raises RejectedError's kinds, as `decoder`."""
    return checked(schema, _decode(_decode_function(schema), payload))


def checked(schema: type[M], fields: Any) -> M:
    """The pydantic model of a mapping or a decoded record. Raises SchemaError where no reader would take it."""
    try:
        message: M = schema.model_validate(fields, from_attributes=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # the field's name is ours; deeper places and a validator's own words may hold the payload's
        place = f" at $.{first['loc'][0]}" if first["loc"] else ""
        raise SchemaError(f"Not what the schema asks for ({first['type']}){place}") from None
    return message


LEFT_OUT: Any = msgspec.UNSET
"""As the value of a field with a default: the field is not written."""


@functools.cache
def record_type(
    schema: type[M], left_out: frozenset[str] = frozenset(), without: frozenset[str] = frozenset()
) -> type[M]:
    """The msgspec twin of a schema: same fields, same constraints, made with keyword arguments only, not validated there.

    Typed as the schema itself, whose attributes it has. left_out: fields that are not written where they are not given.
    without: fields that it has not; each one less saves 50 ns a record.
    """
    fields: list[Any] = []
    for name, field in schema.model_fields.items():
        if name in without:
            continue
        kind = _native(field.annotation, field.metadata)
        default = LEFT_OUT if name in left_out else field.default
        fields.append((name, kind) if field.is_required() else (name, kind, default))
    return cast(type[M], msgspec.defstruct(schema.__name__, fields, kw_only=True, frozen=True, gc=False))


def record_of(message: M) -> M:
    """The msgspec twin of a message, for `encode`."""
    return cast(M, record_type(type(message))(**dict(message)))


def decoder(schema: type[M]) -> Callable[[bytes], M]:
    """A fast parser of `schema`. It raises RejectedError's kinds, in words that are safe to log."""
    decode = _decode_function(schema)
    if not _has_validators(schema):
        return lambda payload: cast(M, _decode(decode, payload))

    def parse(payload: bytes) -> M:
        message = cast(M, _decode(decode, payload))
        checked(schema, message)
        return message

    return parse


def batch_decoder(schema: type[M]) -> Callable[[Sequence[bytes]], list[M] | None]:
    """A parser of many payloads at once: all of them, or None when `decoder` would refuse one."""
    if not _has_validators(schema):
        return native_batch_decoder(record_type(schema))
    decode_one = decoder(schema)

    def parse(payloads: Sequence[bytes]) -> list[M] | None:
        try:
            return [decode_one(payload) for payload in payloads]
        except RejectedError:
            return None

    return parse


def native_decoder(kind: type[T]) -> Callable[[bytes], T]:
    """A parser of a type of msgspec's own, whose field names are safe to log. It raises RejectedError's kinds."""
    decode = msgspec.json.Decoder(kind).decode
    return lambda payload: cast(T, _decode(decode, payload))


def native_batch_decoder(kind: type[T]) -> Callable[[Sequence[bytes]], list[T] | None]:
    """The same of many payloads at once: all of them, or None when one would be refused."""
    decode = msgspec.json.Decoder(kind).decode

    def parse(payloads: Sequence[bytes]) -> list[T] | None:
        try:
            if max(map(len, payloads), default=0) > 2 * NESTING_MAX or not all(map(bytes.isascii, payloads)):
                for payload in payloads:
                    _check(payload)
            return [decode(payload) for payload in payloads]
        except (msgspec.DecodeError, UnicodeDecodeError, RejectedError):
            return None

    return parse


def list_items(payload: bytes) -> list[bytes]:
    """The items of a JSON list, each as its bytes. Raises RejectedError's kinds."""
    return [bytes(item) for item in _decode(_list_items, payload)]


_list_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


@functools.cache
def _decode_function(schema: type[Message]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(record_type(schema)).decode


def _decode(decode: Callable[[bytes], Any], payload: bytes) -> Any:
    try:
        _check(payload)
        return decode(payload)
    except msgspec.ValidationError as error:
        raise SchemaError(_safe(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UndecodableError("not well-formed JSON in UTF-8") from None


@functools.cache
def _has_validators(schema: type[Message]) -> bool:
    """Whether the schema, or one within it, has rules that no field's type says."""
    decorators = schema.__pydantic_decorators__
    if decorators.model_validators or decorators.field_validators:
        return True
    return any(_has_validators(inner) for field in schema.model_fields.values() for inner in _schemas(field.annotation))


def _schemas(annotation: Any) -> Iterable[type[Message]]:
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, Message):
        yield annotation
    for inner in get_args(annotation):
        yield from _schemas(inner)


def _check(payload: bytes) -> None:
    """What msgspec leaves unchecked in fields that it skips. Raises UnicodeDecodeError, TooDeepError."""
    if not payload.isascii():
        payload.decode()
    if len(payload) > 2 * NESTING_MAX and payload.count(b"{") + payload.count(b"[") > NESTING_MAX:
        _check_nesting(payload)


def _check_nesting(payload: bytes) -> None:
    depth, in_string = 0, False
    for found in _STRUCTURE.finditer(payload):
        token = found[0]
        if token == b'"':
            in_string = not in_string
        elif not in_string and token in b"{[":
            depth += 1
            if depth > NESTING_MAX:
                raise TooDeepError(f"nested deeper than {NESTING_MAX} levels")
        elif not in_string and token in b"]}":
            depth -= 1


def _safe(message: str) -> str:
    """The part of msgspec's message that is in its own words: what was expected, and the path in our own field names."""
    words, path = _SAFE_WORDS.match(message), _PATH.search(message)
    return f"{words[0] if words else 'Not what the schema asks for'}{f' at {path[1]}' if path else ''}"


def _native(annotation: Any, metadata: Iterable[Any] = ()) -> Any:
    """The msgspec form of a pydantic annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *inner = get_args(annotation)
        return _native(base, [*inner, *metadata])
    if origin in (Union, UnionType):
        kind = functools.reduce(operator.or_, (_native(a) for a in get_args(annotation)))
    elif origin is tuple:
        kind = GenericAlias(tuple, tuple(a if a is ... else _native(a) for a in get_args(annotation)))
    elif origin is dict:
        kind = GenericAlias(dict, tuple(map(_native, get_args(annotation))))
    elif isinstance(annotation, type) and issubclass(annotation, Message):
        kind = record_type(annotation)
    else:
        kind = annotation
    constraints = dict(_constraints(metadata))
    return Annotated[kind, msgspec.Meta(**constraints)] if constraints else kind


def _constraints(metadata: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    for constraint in metadata:
        match constraint:
            case annotated_types.Ge(ge=bound):
                yield "ge", bound
            case annotated_types.Le(le=bound):
                yield "le", bound
            case annotated_types.MinLen(min_length=length):
                yield "min_length", length
            case annotated_types.MaxLen(max_length=length):
                yield "max_length", length
            case object(pattern=str(pattern)):  # pydantic's own kind of metadata, which has no public name
                yield "pattern", _as_python(pattern)
            case FieldInfo():
                yield from _constraints(constraint.metadata)
            case _:
                raise TypeError(f"schemas/codec.py does not translate {constraint!r} yet")


def _as_python(pattern: str) -> str:
    """A pattern as pydantic's engine reads it: there `$` is the end alone, in Python's also before a last line break."""
    return f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern
