"""Bytes to schema and back: the only place that does it.

Records are JSON, UTF-8. On the hot path pydantic's own parser costs 2-4 us a record and msgspec 0.5 (DECISIONS.md), so the
msgspec types are derived here from the pydantic models, field by field with their constraints; `tests/schemas` shows with
random messages that both accept and refuse the same.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import annotated_types
import msgspec
from pydantic.fields import FieldInfo

from schemas.base import Message

M = TypeVar("M", bound=Message)

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""Bytes of a record made by a `record_type`."""


class RejectedError(ValueError):
    """A payload that is not a message of its schema. `str()` of it holds no word of the payload."""


class UndecodableError(RejectedError):
    """Not JSON, not UTF-8, or cut short."""


class TooDeepError(RejectedError):
    """Nested deeper than the decoder goes."""


class SchemaError(RejectedError):
    """JSON, but a field is missing, of the wrong type or out of its range."""


def write(message: Message) -> bytes:
    """Bytes of a message, off the hot path."""
    return message.model_dump_json().encode()


def read(schema: type[M], payload: bytes) -> M:
    """The message in `payload`, off the hot path. Raises pydantic.ValidationError."""
    return schema.model_validate_json(payload)


@functools.cache
def record_type(schema: type[M]) -> type[M]:
    """The msgspec twin of a schema: same fields, same constraints, made with keyword arguments only, not validated there.

    Typed as the schema itself, whose attributes it has.
    """
    fields: list[Any] = []
    for name, field in schema.model_fields.items():
        kind = _native(field.annotation, field.metadata)
        fields.append((name, kind) if field.is_required() else (name, kind, field.default))
    return cast(type[M], msgspec.defstruct(schema.__name__, fields, kw_only=True, frozen=True, gc=False))


def record_of(message: M) -> M:
    """The msgspec twin of a message, for `encode`."""
    return record_type(type(message))(**dict(message))


def decoder(schema: type[M]) -> Callable[[bytes], M]:
    """A fast parser of `schema`. It raises RejectedError's kinds, in words that are safe to log."""
    decode = msgspec.json.Decoder(record_type(schema)).decode

    def parse(payload: bytes) -> M:
        try:
            return cast(M, decode(payload))
        except msgspec.ValidationError as error:
            raise SchemaError(_safe(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UndecodableError("not well-formed JSON in UTF-8") from None
        except RecursionError:
            raise TooDeepError("nested deeper than the decoder goes") from None

    return parse


def batch_decoder(schema: type[M]) -> Callable[[Sequence[bytes]], list[M] | None]:
    """A parser of many payloads at once: all of them, or None when `decoder` would refuse one."""
    decode = msgspec.json.Decoder(record_type(schema)).decode

    def parse(payloads: Sequence[bytes]) -> list[M] | None:
        try:
            return [cast(M, decode(payload)) for payload in payloads]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    return parse


def _safe(message: str) -> str:
    """Cut a validation message where it would quote the payload; type, bound and field name stay."""
    expected, _, path = message.partition(" - at ")
    return f"{expected.split(', got')[0] if 'Invalid' not in expected else expected.split(' ')[0]} {path}".strip()


def _native(annotation: Any, metadata: Iterable[Any] = ()) -> Any:
    """The msgspec form of a pydantic annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *inner = get_args(annotation)
        return _native(base, [*inner, *metadata])
    if origin in (Union, UnionType):
        kind = functools.reduce(operator.or_, (_native(a) for a in get_args(annotation)))
    elif origin is tuple:
        kind = tuple[*(a if a is ... else _native(a) for a in get_args(annotation))]
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
            case FieldInfo():
                yield from _constraints(constraint.metadata)
            case _:
                raise TypeError(f"schemas/codec.py does not translate {constraint!r} yet")
