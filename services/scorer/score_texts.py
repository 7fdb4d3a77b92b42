"""Scores as JSON, straight from columns: the bytes that `codec.encode` makes of each, without an object of each.

Compiled code puts them together out of the ids' words, the numbers, and msgspec's own text of each column of floats. What needs
an escape, or has an id too long for its words, is left to the objects, as a few rows are.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.features.index import PADDING, Keys
from models.scoring.scores import Scores
from schemas import codec
from schemas.score import OF_POLICIES, Score
from services.kafka.batch_writer import Column, Integers, put

ROWS_MIN = 32
"""Fewer cost less one by one."""

FIELDS = (
    "transaction_id",
    "event_time_ms",
    "card_id",
    "probability",
    "reconstruction_error",
    "anomaly_percentile",
    "alert",
    "model",
    "late",
    "let_through",
)
"""Of each score, in the order in which they are written; behind them what a policy says."""

DIGITS_MAX, QUOTES = 20, 4
QUOTE, BACKSLASH, CONTROLS, MINUS, COMMA, BRACKET = ord('"'), ord("\\"), 0x20, ord("-"), ord(","), ord("]")
TRUE, FALSE = (np.frombuffer(word, np.uint8) for word in (b"true", b"false"))

_ending = codec.record_type(Score, OF_POLICIES, frozenset(FIELDS))


class Written(NamedTuple):
    """n scores as JSON, and the cards' ids, which are their keys."""

    values: Column
    keys: Column


class Endings(NamedTuple):
    """What differs behind the fields of every score. texts: the different ones. places: int64[n], the one of each row."""

    texts: list[bytes]
    places: Integers

    @classmethod
    def plain(cls, rows: int) -> "Endings":
        """Without a policy."""
        return cls([b"}"], np.zeros(rows, np.int64))

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]]) -> "Endings":
        """columns: n values of each field of a policy's; `codec.LEFT_OUT` where one is not written."""
        found: dict[tuple[Any, ...], int] = {}
        places = [found.setdefault(values, len(found)) for values in zip(*columns.values(), strict=True)]
        return cls([_text(dict(zip(columns, values, strict=True))) for values in found], np.array(places, np.int64))


def _text(values: dict[str, Any]) -> bytes:
    written = codec.encode(_ending(**values))
    return b"}" if written == b"{}" else b"," + written[1:]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreColumns(Sequence[Score]):
    """n scores as columns, each made when it is asked for: by those few of which more is written.

    words, subject_words: ids and subjects as `index.keys_of` has them. of_policy: n values of each field of a policy's.
    """

    kind: type[Score]
    model: str
    ids: Sequence[str]
    words: Keys
    time_ms: NDArray[np.int64]
    subjects: Sequence[str]
    subject_words: Keys
    scores: Scores
    alert: NDArray[np.bool_]
    late: NDArray[np.bool_]
    let_through: NDArray[np.bool_]
    of_policy: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        return self.kind(
            transaction_id=self.ids[row],
            event_time_ms=int(self.time_ms[row]),
            card_id=self.subjects[row],
            probability=float(self.scores.probability[row]),
            reconstruction_error=float(self.scores.reconstruction_error[row]),
            anomaly_percentile=float(self.scores.anomaly_percentile[row]),
            alert=bool(self.alert[row]),
            model=self.model,
            late=bool(self.late[row]),
            let_through=bool(self.let_through[row]),
            **{name: column[row] for name, column in self.of_policy.items()},
        )

    def all(self) -> list[Score]:
        """Each of them, at less cost than one by one."""
        kind, model, columns = self.kind, self.model, self.of_policy
        of_policy = [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
        return [
            kind(
                transaction_id=event_id,
                event_time_ms=time_ms,
                card_id=subject,
                probability=probability,
                reconstruction_error=error,
                anomaly_percentile=percentile,
                alert=alert,
                model=model,
                late=late,
                let_through=let_through,
                **more,
            )
            for event_id, time_ms, subject, probability, error, percentile, alert, late, let_through, more in zip(
                self.ids,
                self.time_ms.tolist(),
                self.subjects,
                *(column.tolist() for column in self.scores),
                self.alert.tolist(),
                self.late.tolist(),
                self.let_through.tolist(),
                of_policy or [{}] * len(self),
                strict=True,
            )
        ]

    def written(self) -> Written | None:
        """All of them as JSON; None where that needs objects."""
        rows = len(self)
        flags, words = (self.alert, self.late, self.let_through), (self.words, self.subject_words)
        read: list[Any] = [self.time_ms, *self.scores, *flags, *words, *self.of_policy.values()]
        if rows < ROWS_MIN or any(len(one) != rows for one in read):
            return None  # compiled code does not look where a column ends
        lists = [codec.encode(one.tolist()) for one in self.scores]
        float_ends = np.array(list(accumulate(map(len, lists))), np.int64)
        floats = np.frombuffer(b"".join(lists), np.uint8), float_ends
        pieces = _pieces(self.model)
        endings = Endings.of(self.of_policy) if self.of_policy else Endings.plain(rows)
        ends = _joined(tuple(endings.texts))
        ids, subjects = (_ready(one, np.uint32).view(np.uint8) for one in words)
        rest_bytes = len(pieces[0]) + max(map(len, endings.texts)) + DIGITS_MAX + 3 * len(FALSE) + QUOTES
        room_bytes = ids.size + subjects.size + len(floats[0]) + rows * rest_bytes
        keys, values = ((np.empty(size, np.uint8), np.empty(rows, np.int64)) for size in (subjects.size, room_bytes))
        whole = _write(
            pieces,
            ids,
            _ready(self.time_ms, np.int64),
            subjects,
            floats,
            (_ready(self.alert, np.bool_), _ready(self.late, np.bool_), _ready(self.let_through, np.bool_)),
            (*ends, endings.places),
            keys,
            values,
        )
        return Written(Column.filled(*values), Column.filled(*keys)) if whole else None


def _ready(array: NDArray[Any], kind: type) -> NDArray[Any]:
    """As compiled code takes it: of one kind, of which it is compiled once."""
    flags = array.flags
    if array.dtype == kind and flags.c_contiguous and flags.writeable:
        return array
    return np.require(array, kind, ["C", "W"])


@functools.lru_cache(256)
def _joined(texts: tuple[bytes, ...]) -> tuple[NDArray[np.uint8], Integers]:
    """Joined, and where each ends."""
    column = Column.of(texts)
    return np.frombuffer(column.joined, np.uint8), column.ends


@functools.lru_cache(16)
def _pieces(model: str) -> tuple[NDArray[np.uint8], Integers]:
    """What is before each value but the model, which is in the piece of the one behind it."""
    pieces, piece = [], b"{"
    for name in FIELDS:
        piece += codec.encode(name) + b":"
        if name == "model":
            piece += codec.encode(model) + b","
            continue
        pieces.append(piece)
        piece = b","
    return _joined(tuple(pieces))


def warm() -> None:
    """Compile before the first batch, or load what was compiled."""
    words = np.full((ROWS_MIN, 16), 0xFFFFFFFF, np.uint32)
    flags, number = np.zeros(ROWS_MIN, np.bool_), np.zeros(ROWS_MIN, np.float32)
    ids, times = [""] * ROWS_MIN, np.zeros(ROWS_MIN, np.int64)
    scores = Scores(number, number, number)
    kind = codec.record_type(Score, without=OF_POLICIES)
    ScoreColumns(kind, "", ids, words, times, ids, words, scores, flags, flags, flags, {}).written()


@compiled
def _write(pieces, ids, times, subjects, floats, flags, endings, keys, values):  # type: ignore[no-untyped-def]
    """Texts and keys of all rows. Whether no text needs an escape, no id is a digest, and each list has a number a row.

    pieces, floats: joined, with their ends. endings: those, and the one of each row. keys, values: room, and ends to be filled.
    """
    rows = times.shape[0]
    key_out, key_ends = keys
    out, ends = values
    lists, cursors = floats[0], np.empty(3, np.uint64)
    for column in range(3):
        cursors[column] = 1 + (floats[1][column - 1] if column > 0 else 0)  # behind the bracket
    at = key_at = 0
    for row in range(rows):
        at = _put_one(out, at, pieces[0], pieces[1], 0)
        at = _put_text(out, at, ids, row)
        if at < 0:
            return False
        at = _put_one(out, at, pieces[0], pieces[1], 1)
        at = _put_integer(out, at, times[row])
        start = _put_one(out, at, pieces[0], pieces[1], 2)
        at = _put_text(out, start, subjects, row)
        if at < 0:
            return False
        key_at = put(key_out, key_at, out, start + 1, at - start - 2)
        key_ends[row] = key_at
        for column in range(3):
            to, cursor = np.uint64(_put_one(out, at, pieces[0], pieces[1], 3 + column)), cursors[column]
            byte = lists[cursor]
            while byte not in (COMMA, BRACKET):
                out[to] = byte
                to, cursor = to + np.uint64(1), cursor + np.uint64(1)
                byte = lists[cursor]
            if (byte == BRACKET) != (row == rows - 1):
                return False
            cursors[column] = cursor + np.uint64(1)
            at = np.int64(to)  # type: ignore[assignment]  # compiled code knows one kind of integer
        for place in range(3):
            at = _put_one(out, at, pieces[0], pieces[1], 6 + place)
            word = TRUE if flags[place][row] else FALSE
            at = put(out, at, word, 0, word.shape[0])
        at = _put_one(out, at, endings[0], endings[1], endings[2][row])
        ends[row] = at
    return True


@compiled
def _put_one(out, at, texts, ends, place):  # type: ignore[no-untyped-def]
    """Copy one of joined texts."""
    start = ends[place - 1] if place > 0 else 0
    return put(out, at, texts, start, ends[place] - start)


@compiled
def _put_text(out, at, data, row):  # type: ignore[no-untyped-def]
    """A quoted text of padded bytes; -1 where it is a digest or needs an escape."""
    if data[row, 0] == PADDING and data[row, 1] != PADDING:
        return -1
    to = np.uint64(at)
    out[to] = QUOTE
    to += np.uint64(1)
    for place in range(data.shape[1]):
        byte = data[row, place]
        if byte == PADDING:
            break
        if byte in (QUOTE, BACKSLASH) or byte < CONTROLS:
            return -1
        out[to] = byte
        to += np.uint64(1)
    out[to] = QUOTE
    return np.int64(to) + 1


@compiled
def _put_integer(out, at, number):  # type: ignore[no-untyped-def]
    left = np.uint64(number)
    if number < 0:
        out[at] = MINUS
        at += 1
        left = np.uint64(0) - left
    digits, rest = 1, left
    while rest >= np.uint64(10):
        rest //= np.uint64(10)
        digits += 1
    for place in range(at + digits - 1, at - 1, -1):
        out[np.uint64(place)] = np.uint8(np.uint64(48) + left % np.uint64(10))
        left //= np.uint64(10)
    return at + digits
