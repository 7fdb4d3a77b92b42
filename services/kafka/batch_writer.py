"""Record batches written at once, out of joined columns: the bytes that the client library's builder makes of the same records.

Per record the library writes into a buffer of its own, header by header, from Python: 0.6 us, more than half of it for headers.
Here compiled code writes the records of a whole batch; what stands before them (length, checksum, producer, sequence)
stays the library's own, as does everything after the batch is handed to it.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as PlainBuilder
from aiokafka.record.util import encode_varint
from numpy.typing import NDArray

from models.compiled import compiled
from services.kafka import checksum  # noqa: F401  # for its effect

RECORDS_AT = PlainBuilder.HEADER_STRUCT.size
"""Where a batch's records begin."""

OVERHEAD_BYTES_MAX = 64
"""Of one record beside its texts: six varints of 32 bits, two numbers of 20 digits with their lengths, its attributes."""

ROWS_MIN = 32
"""Fewer cost less one by one."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Column(Sequence[bytes]):
    """n texts in one. ends: int64[n], where each ends in `joined`."""

    joined: bytes | memoryview
    ends: Integers

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> "Column":
        """Of texts one by one."""
        return cls(b"".join(texts), np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts))))

    @classmethod
    def filled(cls, room: NDArray[np.uint8], ends: Integers) -> "Column":
        """Of an array that holds them, and is not written to again."""
        return cls(room[: int(ends[-1])].data.toreadonly(), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        start = int(self.ends[row - 1]) if row else 0
        return bytes(self.joined[start : int(self.ends[row])])

    def __iter__(self) -> Iterator[bytes]:
        start, joined = 0, bytes(self.joined)
        for end in self.ends.tolist():
            yield joined[start:end]
            start = end

    def bytes_from(self, row: int) -> int:
        """Of that row and all behind it."""
        return len(self.joined) - (int(self.ends[row - 1]) if row else 0)


@dataclass(frozen=True, slots=True, eq=False)
class NumberedHeaders(Sequence[list[tuple[str, bytes]]]):
    """Headers of n records that differ in two numbers alone, neither below 0.

    Each has `before`, then the two of `names` with a decimal number of `first` and `second` (int64[n]), then `behind`.
    """

    before: tuple[tuple[str, bytes], ...]
    names: tuple[str, str]
    first: Integers
    second: Integers
    behind: tuple[tuple[str, bytes], ...] = ()

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        (made,) = self._made([self.first[row]], [self.second[row]])
        return made

    def __iter__(self) -> Iterator[list[tuple[str, bytes]]]:
        return self._made(self.first.tolist(), self.second.tolist())

    def _made(self, first: list[int], second: list[int]) -> Iterator[list[tuple[str, bytes]]]:
        one, other = self.names
        for a, b in zip(first, second, strict=True):
            yield [*self.before, (one, b"%d" % a), (other, b"%d" % b), *self.behind]

    @property
    def writable(self) -> bool:
        """Whether `batches` can write them: no number is below 0."""
        return bool(min(self.first.min(), self.second.min()) >= 0)

    def pieces(self) -> tuple[bytes, bytes, bytes]:
        """As a record has them: what is before the first number's length, before the second's, and behind it."""
        first, second = _heads(self.before, self.names, len(self.behind))
        return first, second, b"".join(map(_header, self.behind))


@functools.lru_cache(256)
def _heads(before: tuple[tuple[str, bytes], ...], names: tuple[str, str], behind: int) -> tuple[bytes, bytes]:
    first, second = map(_text, (name.encode() for name in names))
    return _varint(len(before) + len(names) + behind) + b"".join(map(_header, before)) + first, second


def _varint(number: int) -> bytes:
    content = bytearray()
    encode_varint(number, content.append)
    return bytes(content)


def _text(text: bytes) -> bytes:
    return _varint(len(text)) + text


def _header(header: tuple[str, bytes]) -> bytes:
    name, value = header
    return _text(name.encode()) + _text(value)


class FullBatch(BatchBuilder):  # type: ignore[misc]  # the library has no types
    """A batch that holds its records already, for `send_batch`."""

    def __init__(self, builder: PlainBuilder) -> None:
        self._builder, self._relative_offset = builder, builder._num_records
        self._key_serializer = self._value_serializer = self._buffer = None
        self._closed = True

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


def batches(
    producer: AIOKafkaProducer, stamp_ms: int, keys: Column, values: Column, headers: NumberedHeaders
) -> Iterator[FullBatch]:
    """Batches of at most the producer's batch size, each of at least one record, as `create_batch` and `append` cut them.

    stamp_ms: of every record. Of a producer that compresses, one that cannot be made smaller is sent as it is; the library's
    compiled builder sends it packed.
    """
    accumulator = producer._message_accumulator
    manager = accumulator._txn_manager
    transactional = manager is not None and manager.transactional_id is not None
    row = 0
    while row < len(headers):
        builder = PlainBuilder(
            magic=2,
            compression_type=accumulator._compression_type,
            is_transactional=transactional,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=0,
            batch_size=accumulator._batch_size,
        )
        builder._buffer, taken = _written(accumulator._batch_size, row, keys, values, headers)
        builder._first_timestamp = builder._max_timestamp = stamp_ms
        builder._num_records, builder._last_offset = taken, taken - 1
        row += taken
        yield FullBatch(builder)


def _written(limit: int, row: int, keys: Column, values: Column, headers: NumberedHeaders) -> tuple[bytearray, int]:
    """A batch from that row on, its header still empty; and how many records are in it."""
    pieces = [np.frombuffer(piece, np.uint8) for piece in headers.pieces()]
    fixed_bytes = OVERHEAD_BYTES_MAX + sum(map(len, pieces))

    def left_bytes(start: int) -> int:
        return keys.bytes_from(start) + values.bytes_from(start) + (len(headers) - start) * fixed_bytes

    first_bytes = left_bytes(row) - left_bytes(row + 1)
    buffer = bytearray(RECORDS_AT + min(left_bytes(row), max(limit, first_bytes)))
    room = np.frombuffer(buffer, np.uint8)
    numbers = [np.require(one, np.int64, ["C", "W"]) for one in (headers.first, headers.second)]  # one kind is compiled
    texts = [(np.frombuffer(column.joined, np.uint8), column.ends) for column in (keys, values)]
    taken, end = _write(room, RECORDS_AT, limit, row, *texts[0], *texts[1], *numbers, *pieces)
    del room, buffer[end:]
    return buffer, taken


def warm() -> None:
    """Compile before the first batch, or load what was compiled."""
    number = np.zeros(1, np.int64)
    _written(1, 0, Column.of([b"k"]), Column.of([b"v"]), NumberedHeaders((), ("a", "b"), number, number))


@compiled
def _write(  # type: ignore[no-untyped-def]
    out, at, limit, start, keys, key_ends, values, value_ends, first, second, head, middle, tail
):
    """Write records from `start` on at `at` of `out`, until one would end at `limit` or beyond; how many, where they end."""
    rows = len(value_ends)
    row = start
    while row < rows:
        offset = row - start
        key_start = key_ends[row - 1] if row > 0 else 0
        value_start = value_ends[row - 1] if row > 0 else 0
        key_bytes, value_bytes = key_ends[row] - key_start, value_ends[row] - value_start
        first_digits, second_digits = _digits(first[row]), _digits(second[row])
        length = (
            2  # attributes, and the difference of times, which is 0
            + _varint_bytes(offset)
            + _varint_bytes(key_bytes)
            + key_bytes
            + _varint_bytes(value_bytes)
            + value_bytes
            + len(head)
            + _varint_bytes(first_digits)
            + first_digits
            + len(middle)
            + _varint_bytes(second_digits)
            + second_digits
            + len(tail)
        )
        if offset > 0 and at + _varint_bytes(length) + length >= limit:  # as the library's compiled builder has it
            break
        at = _put_varint(out, at, length)
        out[at] = out[at + 1] = 0
        at = _put_varint(out, at + 2, offset)
        at = _put_varint(out, at, key_bytes)
        at = put(out, at, keys, key_start, key_bytes)
        at = _put_varint(out, at, value_bytes)
        at = put(out, at, values, value_start, value_bytes)
        at = put(out, at, head, 0, len(head))
        at = _put_number(out, at, first[row], first_digits)
        at = put(out, at, middle, 0, len(middle))
        at = _put_number(out, at, second[row], second_digits)
        at = put(out, at, tail, 0, len(tail))
        row += 1
    return row - start, at


@compiled
def _digits(number):  # type: ignore[no-untyped-def]
    """Of a number that is not below 0."""
    digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


@compiled
def _varint_bytes(number):  # type: ignore[no-untyped-def]
    """How long a number that is not below 0 is, zigzag."""
    left, length = number << 1, 1
    while left >= 0x80:
        left >>= 7
        length += 1
    return length


@compiled
def _put_varint(out, at, number):  # type: ignore[no-untyped-def]
    left = number << 1
    while left >= 0x80:
        out[at] = left & 0x7F | 0x80
        left >>= 7
        at += 1
    out[at] = left
    return at + 1


@compiled
def _put_number(out, at, number, digits):  # type: ignore[no-untyped-def]
    """Its length and its digits."""
    at = _put_varint(out, at, digits)
    end = at + digits
    for place in range(end - 1, at - 1, -1):
        out[place] = 48 + number % 10
        number //= 10
    return end


@compiled
def put(out, at, texts, start, length):  # type: ignore[no-untyped-def]
    """Copy so many bytes of `texts`, from `start` on, to `at` of `out`; the place behind them."""
    # unsigned: a place that may be below 0 counts from the end, and to look costs more than to copy
    to, of = np.uint64(at), np.uint64(start)
    for place in range(np.uint64(length)):
        out[to + place] = texts[of + place]
    return at + length
