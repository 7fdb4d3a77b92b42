"""Scores as JSON, straight from columns: the bytes that `codec.encode` makes of each, without an object of each.

msgspec writes each column as one list, so every number and text is as it writes it alone; compiled code puts them together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.compiled import compiled
from schemas import codec
from schemas.score import OF_POLICIES, Score
from services.kafka.batch_writer import Column, put

ROWS_MIN = 32
"""Fewer cost less one by one."""

MODEL = "model"
"""The field that is the same in every score of a batch."""


class PlainScores(Sequence[Score]):
    """Scores without a policy, each made when it is asked for: by those few of which more is written."""

    def __init__(self, make: type[Score], model: str, columns: Sequence[Sequence[Any]]) -> None:
        """make: a `codec.record_type`. columns: n values of each field but the model, in the fields' order."""
        self._make, self._model, self._columns = make, model, columns
        self._names = [name for name in make.__struct_fields__ if name != MODEL]  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        values = [column[row] for column in self._columns]
        return self._make(**dict(zip(self._names, values, strict=True)), model=self._model)


class ScoreTexts:
    """Writes the scores of a type of record whose every field is given."""

    def __init__(self, kind: type[Score]) -> None:
        """kind: a `codec.record_type`."""
        self.fields: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]

    def of(self, model: str, columns: Sequence[Sequence[Any]]) -> Column | None:
        """A text of each row; None where that needs objects.

        columns: n values of each field but the model, in the fields' order.
        """
        rows = len(columns[0])
        if rows < ROWS_MIN:
            return None
        lists = [codec.encode(column) for column in columns]
        sources = b"".join(lists)
        if b"\\" in sources:  # a text may end anywhere then
            return None
        pieces = self._pieces(model)
        ends = np.empty(rows, np.int64)
        room = np.empty(len(sources) + rows * sum(map(len, pieces)), np.uint8)
        lengths = np.array([len(one) for one in lists], np.int64)
        written = _merge(
            np.frombuffer(sources, np.uint8),
            lengths,
            np.frombuffer(b"".join(pieces), np.uint8),
            np.array([len(piece) for piece in pieces], np.int64),
            room,
            ends,
        )
        return Column(room[:written].tobytes(), ends) if written else None

    def _pieces(self, model: str) -> list[bytes]:
        """What is before each value, and behind the last."""
        pieces, piece = [], b"{"
        for name in self.fields:
            piece += codec.encode(name) + b":"
            if name == MODEL:
                piece += codec.encode(model) + b","
                continue
            pieces.append(piece)
            piece = b","
        return [*pieces, piece[:-1] + b"}"]


def warm() -> None:
    """Compile before the first batch, or load what was compiled."""
    texts = ScoreTexts(codec.record_type(Score, without=OF_POLICIES))
    texts.of("", [[0] * ROWS_MIN for _ in texts.fields[1:]])


@compiled
def _merge(sources, lengths, pieces, piece_lengths, out, ends):  # type: ignore[no-untyped-def]
    """Texts of all rows, one behind the other; 0 where the lists do not have one value for each row.

    sources: a JSON list of each column, without escapes, joined.
    """
    columns, rows = len(lengths), len(ends)
    cursors, limits = np.empty(columns, np.int64), np.empty(columns, np.int64)
    end = 0
    for column in range(columns):
        cursors[column] = end + 1  # behind the bracket
        end += lengths[column]
        limits[column] = end
    at = 0
    for row in range(rows):
        piece = 0
        for column in range(columns):
            at = put(out, at, pieces, piece, piece_lengths[column])
            piece += piece_lengths[column]
            start, limit = np.uint64(cursors[column]), np.uint64(limits[column])
            cursor, quoted = start, False
            while cursor < limit:
                byte = sources[cursor]
                if byte == 34:
                    quoted = not quoted
                elif not quoted and (byte == 44 or byte == 93):
                    break
                cursor += np.uint64(1)
            if cursor >= limit or (sources[cursor] == 93) != (row == rows - 1):
                return 0
            at = put(out, at, sources, start, np.int64(cursor - start))
            cursors[column] = cursor + np.uint64(1)
        at = put(out, at, pieces, piece, piece_lengths[columns])
        ends[row] = at
    return at
