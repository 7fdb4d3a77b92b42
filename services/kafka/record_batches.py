"""Record batches that the client library cannot take: a header name that is not UTF-8, and batches that unpack to gigabytes.

The library parses a batch before our code sees a record, and what it raises there would end every consumer of the topic in
turn. Here a batch that it fails on is parsed again, tolerantly. The common path costs nothing: the library's own parser runs
until it raises. Imported for its effect by `client_mends`.
"""

import contextlib
import threading
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, ClassVar

import aiokafka.consumer.fetcher
import aiokafka.record._crecords.default_records as compiled_records
import aiokafka.record._crecords.legacy_records as compiled_legacy_records
import aiokafka.record.default_records as plain_records
import aiokafka.record.legacy_records as plain_legacy_records
import cramjam
import msgspec
import numpy as np
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.codec import _detect_xerial_stream as is_xerial
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import _DefaultRecordBatchPy as PlainBatch
from aiokafka.record.default_records import _DefaultRecordPy as PlainRecord
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py as decode_varint  # the compiled one reads beyond the end

UNPACKED_BYTES_MAX = 64 << 20
"""Of one record batch. A constant, not a setting: a replay must find the same dead letter. Producers send 1 MB or so."""

TOLERANT_RECORDS_MAX = 100_000
"""Parsed one by one in Python, half a second of it: a batch of more is one dead letter."""

HEADERS_MAX = 1000
"""Of one record. Each is an object of 130 bytes, and takes 3 in a batch."""

RECORDS_MAX = 500_000
"""Of one batch that unpacks to more than LOOKED_AT_BYTES_MIN."""

LOOKED_AT_BYTES_MIN = 4 << 20
"""Smaller batches are parsed as they are: they cannot hold so many headers that it matters."""

XERIAL_HEADER_BYTES, GZIP_PART_BYTES, GZIP_MEMBERS_MAX = 16, 1 << 20, 1000
LENGTH_END, MAGIC_AT = 12, 16
"""Where a batch's length ends and its version is, in bytes."""

NOT_TO_BLAME = (MemoryError, UnsupportedCodecError)
"""Nothing that a batch is to blame for: parsing it again would hide it."""


class Unreadable(bytes):
    """The payload, empty, of the one record that replaces a batch that cannot be read. why: for its dead letter."""

    why: str
    too_large: bool

    @classmethod
    def of(cls, why: str, *, too_large: bool) -> "Unreadable":
        """With its reason."""
        made = cls()
        made.why, made.too_large = why, too_large
        return made


class TooLargeError(Exception):
    """A batch unpacks to more than UNPACKED_BYTES_MAX, or does not unpack at all; or as the text says."""


def _ungzip(data: Any) -> bytes:
    unpacked, rest = bytearray(), bytes(data)
    for _ in range(GZIP_MEMBERS_MAX):
        if not rest:
            break
        member = zlib.decompressobj(wbits=31)
        while rest and not member.eof:
            unpacked += member.decompress(rest, GZIP_PART_BYTES)
            rest = member.unconsumed_tail
            if len(unpacked) > UNPACKED_BYTES_MAX:
                raise TooLargeError
        if not member.eof:
            raise TooLargeError
        rest = member.unused_data
    if rest:
        raise TooLargeError
    return bytes(unpacked)


def _unsnappy(data: Any) -> bytes:
    blocks, payload = [], memoryview(data)
    if is_xerial(data):
        at = XERIAL_HEADER_BYTES
        while at < len(payload):
            end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
            blocks.append(bytes(payload[at + 4 : end]))
            at = max(end, at + 4)
    else:
        blocks.append(bytes(payload))
    if sum(map(cramjam.snappy.decompress_raw_len, blocks)) > UNPACKED_BYTES_MAX:
        raise TooLargeError
    return b"".join([bytes(cramjam.snappy.decompress_raw(block)) for block in blocks])


_rooms = threading.local()


def _unpacked_by(codec: Any) -> Callable[[Any], bytes]:
    def unpacked(data: Any) -> bytes:
        room = getattr(_rooms, "room", None)
        if room is None:  # kept: only the pages that a batch has ever reached are there
            room = _rooms.room = np.empty(UNPACKED_BYTES_MAX, np.uint8)
        return bytes(room[: codec.decompress_into(data, room)].data)

    return unpacked


def _bounded(unpack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def unpacked(data: Any) -> bytes:
        try:
            return unpack(data)
        except (cramjam.DecompressionError, zlib.error, ValueError) as error:
            raise TooLargeError from error

    return unpacked


def _looked_at(unpack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def unpacked(data: Any) -> bytes:
        content = unpack(data)
        if len(content) > LOOKED_AT_BYTES_MIN:
            with contextlib.suppress(IndexError):  # what ends early is the parser's to refuse
                _look_at(content)
        return content

    return unpacked


def _look_at(records: bytes) -> None:
    """Raise TooLargeError where the records of a batch of format 2 would fill the memory once they are parsed."""
    at = number = 0
    while at < len(records):
        length, at = decode_varint(records, at)
        number += 1
        if number > RECORDS_MAX:
            raise TooLargeError(f"holds more than {RECORDS_MAX:,} records")
        if length < 0:
            return
        end = at + length
        if length > 2 * HEADERS_MAX:
            _check_headers(records, at + 1)
        at = end


def _check_headers(records: bytes, at: int) -> None:
    """Of the record whose fields begin at `at`, behind its attributes."""
    for _ in range(2):  # times and offset
        _, at = decode_varint(records, at)
    for _ in range(2):  # key and value
        length, at = decode_varint(records, at)
        at += max(0, length)
    _check_number(decode_varint(records, at)[0])


def _check_number(headers: int) -> None:
    if headers > HEADERS_MAX:
        raise TooLargeError(f"holds a record with more than {HEADERS_MAX:,} headers")


CODECS = {
    "gzip_decode": _bounded(_ungzip),
    "snappy_decode": _bounded(_unsnappy),
    "lz4_decode": _bounded(_unpacked_by(cramjam.lz4)),
    "zstd_decode": _bounded(_unpacked_by(cramjam.zstd)),
}
_OF_FORMAT_2 = (compiled_records, plain_records)
for _module in (*_OF_FORMAT_2, compiled_legacy_records, plain_legacy_records):
    for _name, _unpack in CODECS.items():
        if hasattr(_module, _name):
            setattr(_module, _name, _looked_at(_unpack) if _module in _OF_FORMAT_2 else _unpack)


class _Kept:
    """The library's reader of what was fetched, which keeps the bytes and counts, so that a batch can be read again."""

    def __init__(self, data: bytes) -> None:
        self._data, self._taken = data, 0
        self._reader = MemoryRecords(data)
        self.has_next, self.size_in_bytes = self._reader.has_next, self._reader.size_in_bytes

    def next_batch(self) -> Any:
        self._taken += 1
        return self._reader.next_batch()

    def again(self) -> "_Again":
        """From the batch that was taken last, which is parsed tolerantly."""
        end, start = 0, 0
        for _ in range(self._taken):
            start, end = end, end + LENGTH_END + int.from_bytes(self._data[end + 8 : end + LENGTH_END], "big")
        return _Again(self._data[start:end], self._data[end:])


class _Again:
    """The same, the first batch tolerantly."""

    def __init__(self, first: bytes, rest: bytes) -> None:
        self._first: bytes | None = first
        self._rest = _Kept(rest)

    def has_next(self) -> bool:
        return self._first is not None or bool(self._rest.has_next())

    def next_batch(self) -> Any:
        if self._first is None:
            return self._rest.next_batch()
        first, self._first = self._first, None
        return _TolerantBatch(_batch(first))

    def again(self) -> "_Again | None":
        """None where the first batch failed again: its checksum is wrong."""
        return self._rest.again() if self._rest._taken else None


def _batch(data: bytes) -> Any:
    magic = data[MAGIC_AT]
    return PlainBatch(data) if magic >= 2 else LegacyRecordBatch(data, magic)


class _TolerantBatch:
    """A batch whose records are those that can be read; where none can be distinguished, one that replaces them all."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self._records: Iterator[PlainRecord] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[PlainRecord]:
        batch, too_large = self._batch, False
        try:
            if isinstance(batch, PlainBatch) and batch._num_records <= TOLERANT_RECORDS_MAX:
                return iter(list(_records(batch)))
            why = "is of an old format" if not isinstance(batch, PlainBatch) else "has too many records"
            why = f"cannot be parsed, and {why} to be looked at one by one"
        except NOT_TO_BLAME:
            raise
        except TooLargeError as error:
            why, too_large = str(error) or f"unpacks to more than {UNPACKED_BYTES_MAX:,} bytes, or not at all", True
        except Exception as error:
            why = f"cannot be parsed ({type(error).__name__})"
        return iter([self._stand_in(why, too_large)])

    def __next__(self) -> PlainRecord:
        if self._records is None:
            self._records = iter(self)
        return next(self._records)

    def _stand_in(self, why: str, too_large: bool) -> PlainRecord:
        batch = self._batch
        last = batch.next_offset - 1
        first = getattr(batch, "base_offset", last)
        stamp = getattr(batch, "max_timestamp", -1)
        value = Unreadable.of(f"the record batch of the offsets {first} to {last} {why}", too_large=too_large)
        return PlainRecord(first, stamp, 0, None, value, [])


def _records(batch: PlainBatch) -> Iterator[PlainRecord]:
    """The records of a batch of format 2. A header's name that is not UTF-8 keeps its bytes as \\x escapes."""
    batch._maybe_uncompress()
    data, at, stamped = batch._buffer, batch._pos, batch.timestamp_type
    for _ in range(batch._num_records):
        length, at = decode_varint(data, at)
        end = at + length
        stamp_delta, at = decode_varint(data, at + 1)  # one byte of attributes, which mean nothing
        offset_delta, at = decode_varint(data, at)
        key, at = _bytes(data, at)
        value, at = _bytes(data, at)
        count, at = decode_varint(data, at)
        _check_number(count)
        headers = []
        for _ in range(count):
            name, at = _bytes(data, at)
            content, at = _bytes(data, at)
            headers.append(((name or b"").decode("utf-8", "backslashreplace"), content))
        if at != end or end > len(data) or not 0 <= offset_delta <= batch.last_offset_delta:
            raise CorruptRecordException("a record does not end where it says")
        stamp = batch.max_timestamp if stamped else batch.first_timestamp + stamp_delta
        yield PlainRecord(batch.base_offset + offset_delta, stamp, stamped, key, value, headers)


def _bytes(data: bytearray, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(data, at)
    return (None, at) if length < 0 else (bytes(data[at : at + length]), at + length)


class FetchedRecord(msgspec.Struct, gc=False):
    """What the library's ConsumerRecord is, at a third of its price; `dataclasses.replace` takes it, too."""

    __dataclass_fields__: ClassVar[Any] = ConsumerRecord.__dataclass_fields__

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    headers: tuple[tuple[str, bytes], ...]


def _fetched(made: Callable[..., Any]) -> Callable[..., Any]:
    def fetched(records: PartitionRecords, source: TopicPartition, record: Any) -> Any:
        if records._key_deserializer or records._value_deserializer:
            return made(records, source, record)
        key, value = record.key, record.value
        return FetchedRecord(
            source.topic,
            source.partition,
            record.offset,
            record.timestamp,
            record.timestamp_type,
            key,
            value,
            record.checksum,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            tuple(record.headers),
        )

    return fetched


def _read_on(records: PartitionRecords) -> Any:
    try:
        return next(records._records_iterator)
    except StopIteration:
        records._records_iterator = None  # as shipped: the two hold each other
        raise
    except UnsupportedCodecError:
        raise
    except Exception as error:  # MemoryError, too: the compiled parser asks for as much as a wrong length says
        _read_again(records, error)
        return _read_on(records)


def _read_again(records: PartitionRecords, error: Exception) -> None:
    """Go on with the batch that has just failed, tolerantly. Raises the error where it failed tolerantly, too."""
    again = records._records.again()
    if again is None:
        raise error
    records._records, records._records_iterator = again, None
    records._records_iterator = records._unpack_records()


def _get_all(result: FetchResult, max_records: int | None = None) -> list[Any]:
    """As shipped, but for a call in Python of each record."""
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    records, taken = result._partition_records, list[Any]()
    while True:
        left = None if max_records is None else max_records - len(taken)
        try:
            for record in islice(records._records_iterator, left):
                taken.append(record)  # what comes before a failure is kept, whatever `extend` does
            break
        except UnsupportedCodecError:
            raise
        except Exception as error:
            _read_again(records, error)
    result._update_position()
    if max_records is None or len(taken) < max_records:
        records._records_iterator = result._partition_records = None
    return taken


def _ends_aborted(records: PartitionRecords, marker: Any) -> bool:
    """A producer whose transaction was aborted writes no other marker before the one that says so: nothing need be parsed.

    As shipped, a marker that cannot be parsed, or one of a later version, stops the partition or hides what comes after it.
    """
    return True


PartitionRecords._contains_abort_marker = _ends_aborted
aiokafka.consumer.fetcher.MemoryRecords = _Kept
PartitionRecords.__next__ = _read_on
PartitionRecords._consumer_record = _fetched(PartitionRecords._consumer_record)
FetchResult.getall = _get_all
