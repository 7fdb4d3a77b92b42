"""Protocol buffers read strictly: known fields of the known kind, in the one shortest encoding, and written again the same.

https://protobuf.dev/programming-guides/encoding/. A lenient reader cuts tags to 32 bits, merges what is given twice and keeps
what it does not know, and two readers that are lenient in other ways read other messages. Here nothing is left to leniency:
what is read, written again, is the very input, byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
FIELD_NUMBER_MAX = (1 << 29) - 1
VARINT_BYTES_MAX = 10
FIELDS_MAX = 1 << 21
"""Of a file, messages within messages included: some seconds and 300 MB of reading at most."""


class GraphError(ValueError):
    """The graph is not one that may be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """name: in words. many: it may be given more than once. of: what its bytes are, where they are a message."""

    name: str
    wire: int
    many: bool = False
    of: "Kind | None" = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A message: its fields by number; all others are refused. refusals: words for some of those."""

    name: str
    fields: dict[int, Field]
    refusals: dict[int, str] = field(default_factory=dict)


Value = Union[int, bytes, "Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was read: number and value of each field, in its order."""

    kind: Kind
    values: list[tuple[int, Value]]

    def all(self, number: int) -> list[Value]:
        """Every value of a field."""
        return [value for found, value in self.values if found == number]

    def messages(self, number: int) -> "list[Message]":
        """Every value of a field of messages."""
        return [value for value in self.all(number) if isinstance(value, Message)]

    def number(self, number: int, default: int = 0) -> int:
        """A field of a number, signed; `default` where it is not there."""
        for value in self.all(number):
            assert isinstance(value, int), "a field of numbers"
            return signed(value)
        return default

    def text(self, number: int) -> str:
        """A field of text; empty where it is not there."""
        return next(iter(self.texts(number)), "")

    def texts(self, number: int) -> list[str]:
        """Every value of a field of text. Raises GraphError where one is not UTF-8."""
        try:
            return [value.decode() for value in self.all(number) if isinstance(value, bytes)]
        except UnicodeDecodeError:
            raise GraphError(f"a text of the {self.kind.name} is no UTF-8") from None


def signed(value: int) -> int:
    """A varint as the int64 that it encodes."""
    return value - (1 << 64) if value >= 1 << 63 else value


class _Count:
    """Fields that have been read."""

    fields = 0


def read(kind: Kind, content: bytes) -> Message:
    """The message in the bytes. Raises GraphError where anything about them is not as it must be."""
    return _read(kind, content, _Count())


def _read(kind: Kind, content: bytes, count: _Count) -> Message:
    values: list[tuple[int, Value]] = []
    seen: set[int] = set()
    for number, wire, value in _fields(content):
        count.fields += 1
        if count.fields > FIELDS_MAX:
            raise GraphError(f"the file has more than {FIELDS_MAX:,} fields")
        known = kind.fields.get(number)
        if known is None:
            raise GraphError(kind.refusals.get(number, f"the {kind.name} has a field {number}, which is not allowed"))
        if wire != known.wire:
            raise GraphError(f"the file is not an ONNX model: {known.name} of the {kind.name} is of another kind")
        if number in seen and not known.many:
            raise GraphError(f"the {kind.name} has more than one {known.name}")
        seen.add(number)
        if known.of is not None:
            assert isinstance(value, bytes), "a message has a length"
            values.append((number, _read(known.of, value, count)))
        else:
            values.append((number, value))
    return Message(kind, values)


def written(message: Message) -> bytes:
    """The bytes that `read` made the message of."""
    parts = []
    for number, value in message.values:
        wire = message.kind.fields[number].wire
        parts.append(_varint_bytes(number << 3 | wire))
        if isinstance(value, int):
            parts.append(_varint_bytes(value))
            continue
        content = written(value) if isinstance(value, Message) else value
        if wire == LENGTH:
            parts.append(_varint_bytes(len(content)))
        parts.append(content)
    return b"".join(parts)


def _fields(content: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """(field number, wire type, value) of each field: a number, or the bytes of the rest."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if not 1 <= number <= FIELD_NUMBER_MAX:
            raise GraphError("the file is not an ONNX model: a field has a number that none can have")
        if wire == VARINT:
            value, at = _varint(content, at)
            yield number, wire, value
            continue
        if wire == LENGTH:
            size, at = _varint(content, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise GraphError("the file is not an ONNX model: a field of unknown kind")
        if size > len(content) - at:
            raise GraphError("the file is not an ONNX model: it ends inside a field")
        yield number, wire, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(VARINT_BYTES_MAX):
        if at >= len(content):
            raise GraphError("the file is not an ONNX model: it ends inside a number")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if value >> 64 or (byte == 0 and place):
                break
            return value, at
    raise GraphError("the file is not an ONNX model: a number is not written in its shortest form")


def _varint_bytes(value: int) -> bytes:
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)
