"""Protobuf messages as JSON documents: fields by the names of the schema, 64-bit numbers as numbers, enums by name."""

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from models.sources.envelopes.connect import decimal_text
from schemas.codec import SchemaError
from services.formats.budget import spend
from services.formats.protobuf_wire import Layout

ELEMENTS_MAX = 10_000
"""In one list: an empty message needs two bytes, and a document says each of its fields."""

FIELDS_MAX = 8
"""Of a message that is not counted: one needs two bytes, and has a value for each field that is never absent."""

Convert = Callable[[Any], Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _timestamp(message: Any) -> str:
    try:
        moment = EPOCH + timedelta(seconds=message.seconds)
    except OverflowError:
        raise SchemaError("a timestamp out of range") from None
    if not 0 <= message.nanos < 1_000_000_000:
        raise SchemaError("a timestamp out of range")
    fraction = f".{message.nanos:09d}".rstrip("0").rstrip(".") if message.nanos else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + "Z"


def _duration(message: Any) -> float:
    seconds: float = message.seconds + message.nanos / 1e9
    return seconds


def _decimal(message: Any) -> str:
    return decimal_text(message.value, message.scale)


def _money(message: Any) -> dict[str, Any]:
    nanos = message.units * 1_000_000_000 + message.nanos
    sign, whole = "-" if nanos < 0 else "", abs(nanos)
    fraction = f".{whole % 1_000_000_000:09d}".rstrip("0").rstrip(".")
    value = f"{sign}{whole // 1_000_000_000}{fraction}"
    return {"currency_code": message.currency_code, "units": message.units, "nanos": message.nanos, "value": value}


def _wrapped(message: Any) -> Any:
    value = message.value
    return _bytes(value) if isinstance(value, bytes) else _number(value) if isinstance(value, float) else value


def _struct(message: Any) -> Any:
    return {name: _value(value) for name, value in message.fields.items()}


def _list(message: Any) -> Any:
    return [_value(value) for value in message.values]


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    value = getattr(message, kind)
    if kind == "struct_value":
        return _struct(value)
    if kind == "list_value":
        return _list(value)
    return _number(value) if kind == "number_value" else value


WELL_KNOWN: Mapping[str, Convert] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Value": _value,
    "google.type.Money": _money,
    "confluent.type.Decimal": _decimal,
    **{
        f"google.protobuf.{name}Value": _wrapped
        for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
    },
}


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # no number of JSON: as a text it is refused where it is read


class Message:
    """One message of a schema. Its fields are worked out once."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._class = GetMessageClass(descriptor)
        self._converter = _Converters().message(descriptor)
        self._layout = Layout(descriptor)

    def document(self, payload: bytes) -> Any:
        """The message as Python has JSON. Raises DecodeError, UnicodeDecodeError, SchemaError."""
        self._layout.check(payload)
        return self._converter(self._class.FromString(payload))

    def encode(self, fields: dict[str, Any]) -> bytes:
        """The bytes of a message with these fields. Raises TypeError, ValueError."""
        made: bytes = self._class(**fields).SerializeToString()
        return made


class _Converters:
    """Of a message and all that lies within it; a message that contains itself has one."""

    def __init__(self) -> None:
        self._made: dict[str, Convert] = {}

    def message(self, descriptor: Descriptor) -> Convert:
        """A message to its document. A field that has no presence is never absent: it has its default."""
        name = descriptor.full_name
        if name in WELL_KNOWN:
            return WELL_KNOWN[name]
        if name in self._made:
            return self._made[name]
        present: list[tuple[str, Convert | None]] = []
        optional: list[tuple[str, Convert | None]] = []

        def convert(message: Any) -> dict[str, Any]:
            if len(present) > FIELDS_MAX:
                spend(len(present))
            made = {}
            for field, inner in present:
                value = getattr(message, field)
                made[field] = value if inner is None else inner(value)
            for field, inner in optional:
                if message.HasField(field):
                    value = getattr(message, field)
                    made[field] = value if inner is None else inner(value)
            return made

        self._made[name] = convert
        for field in descriptor.fields:
            (optional if field.has_presence else present).append((field.name, self._field(field)))
        return convert

    def _field(self, field: FieldDescriptor) -> Convert | None:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return self._map(entry)
        one = self._one(field)
        if not field.is_repeated:
            return one

        def convert(values: Any) -> list[Any]:
            _bounded(values)
            return list(values) if one is None else [one(value) for value in values]

        return convert

    def _map(self, entry: Descriptor) -> Convert:
        one = self._one(entry.fields_by_name["value"])

        def convert(values: Any) -> dict[str, Any]:
            _bounded(values)
            return {_key(key): value if one is None else one(value) for key, value in values.items()}

        return convert

    def _one(self, field: FieldDescriptor) -> Convert | None:
        """None: the value is taken as it is."""
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return _names(field.enum_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return _bytes
        return _number if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT) else None


def _bounded(values: Any) -> None:
    if len(values) > ELEMENTS_MAX:
        raise SchemaError(f"a list of more than {ELEMENTS_MAX} elements")


def _names(enum: EnumDescriptor) -> Convert:
    """An enum's value by name; one that the schema does not know as its number."""
    names: dict[int, str] = {}
    for value in enum.values:
        names.setdefault(value.number, value.name)
    return lambda number: names.get(number, number)


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
