"""The quick way through text files: blocks of bytes whose rows are proven to be whole are parsed by polars, at once.

A block is taken only where nothing is open: each line is one row with the header's number of fields, and a quote stands at the
edges of a field alone. Whatever is not proven goes the careful way, to the same result.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from models.files.text import LINE_BYTES_MAX

BLOCK_BYTES = 32 << 20
TAB, NEWLINE, RETURN, SPACE, QUOTE = 9, 10, 13, 32, 34


@dataclass(frozen=True, slots=True)
class ByteBlock:
    """Whole lines of a file. first: the line of the first, from 1. rows: how many."""

    first: int
    content: bytes
    rows: int


def byte_blocks(raw: io.BufferedReader, lines_before: int) -> Iterator[ByteBlock | None]:
    """The file from the line after `lines_before` on, cut between lines; None, and no more, at a line that is too long."""
    for _ in range(lines_before):
        raw.readline()
    buffer = bytearray(BLOCK_BYTES)  # the same for each block: fresh memory costs more than copying
    first, held = lines_before + 1, 0
    while read := raw.readinto(memoryview(buffer)[held:]):
        held += read
        end = buffer.rfind(b"\n", 0, held) + 1
        if end:
            block = _block(first, bytes(memoryview(buffer)[:end]))
            yield block
            first += block.rows
            buffer[: held - end] = buffer[end:held]
            held -= end
        if held == len(buffer):
            if held > LINE_BYTES_MAX:
                yield None
                return
            buffer.extend(bytes(held))
    if held:
        yield _block(first, bytes(memoryview(buffer)[:held]) + b"\n")


def _block(first: int, content: bytes) -> ByteBlock:
    return ByteBlock(first, content, _count(np.frombuffer(content, np.uint8) == NEWLINE))


def _count(found: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(found))


def split_columns(
    block: ByteBlock, delimiter: str, header: Sequence[str], wanted: Sequence[str]
) -> tuple[pl.DataFrame, bool] | None:
    """Columns of text, empty cells null, and whether there may be spaces around cells. None where it is not proven plain."""
    content, mark, width = block.content, delimiter.encode(), len(header)
    if len(mark) != 1 or width == 1:  # an empty line and an empty cell are the same in one column
        return None
    letters, quoted = np.frombuffer(content, np.uint8), b'"' in content
    if not _plain_ends(content, letters, block.rows) or _may_have_long_line(content):
        return None
    if not quoted and _count(letters == mark[0]) != block.rows * (width - 1):
        return None
    places = sorted({*(header.index(name) for name in wanted), width - 1})
    try:
        frame = pl.read_csv(
            io.BytesIO(content),
            has_header=False,
            new_columns=[f"f{at}" for at in range(width)],
            columns=places,
            separator=delimiter,
            quote_char='"' if quoted else None,
            infer_schema=False,
        )
    except (PolarsError, OSError):
        return None  # not UTF-8, for instance
    if len(frame) != block.rows:
        return None
    # A row with too few fields has none in the last column. Where there is no such row, nor a quote, the count of delimiters
    # leaves no room for one with too many.
    if (quoted or frame[f"f{width - 1}"].null_count()) and not _rectangular(letters, mark, width, quoted=quoted):
        return None
    frame = frame.select(pl.col(f"f{header.index(name)}").alias(name) for name in wanted)
    return frame, quoted or not content.isascii() or _spaced(content, mark)


def _may_have_long_line(content: bytes) -> bool:
    """Whether a line may be longer than LINE_BYTES_MAX: one that is leaves a half of that without an end."""
    step = LINE_BYTES_MAX // 2
    return any(content.find(b"\n", at, at + step) < 0 for at in range(0, len(content) - step + 1, step))


def _plain_ends(content: bytes, letters: NDArray[np.uint8], rows: int) -> bool:
    """Whether lines end in one way alone, and nothing else is a control character but tabs."""
    # `in` looks for a byte ten times faster than `count` counts it
    returns = _count(letters == RETURN) if b"\r" in content else 0
    tabs = _count(letters == TAB) if b"\t" in content else 0
    if returns and (returns != rows or content.count(b"\r\n") != returns):
        return False
    return _count(letters < SPACE) == rows + returns + tabs


def _spaced(content: bytes, mark: bytes) -> bool:
    """Whether a space or tab stands at a field's edge."""
    blanks = [blank for blank in (b" ", b"\t") if blank != mark and blank in content]
    letters, edges = np.frombuffer(content, np.uint8), (mark[0], NEWLINE, RETURN)
    for blank in blanks:
        at = np.flatnonzero(letters == blank[0])
        beside = np.concatenate([letters[at - 1], letters[at + 1]])  # before the first letter: the last, a line's end
        if np.isin(beside, edges).any():
            return True
    return False


def _rectangular(letters: NDArray[np.uint8], mark: bytes, width: int, *, quoted: bool) -> bool:
    """Whether each line has `width` fields, and quotes stand at the edges of fields alone."""
    ends = np.flatnonzero(letters == NEWLINE)
    marks = np.flatnonzero(letters == mark[0])
    if quoted:
        quotes = np.flatnonzero(letters == QUOTE)
        if not _quotes_at_edges(letters, quotes, ends, mark[0]):
            return False
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    if len(marks) != len(ends) * (width - 1):
        return False
    by_line = marks.reshape(len(ends), width - 1)
    starts = np.concatenate([[-1], ends[:-1]])
    return bool((by_line[:, 0] > starts).all() and (by_line[:, -1] < ends).all())


def _quotes_at_edges(letters: NDArray[np.uint8], quotes: NDArray[np.int64], ends: NDArray[np.int64], mark: int) -> bool:
    """Whether quotes open at a field's first letter and close at its last, on the same line. None is doubled then."""
    if len(quotes) % 2 or (np.searchsorted(quotes, ends) % 2).any():
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = letters[opening - 1]  # of the first letter that is the block's last, a line's end
    after = letters[closing + 1]
    return bool(
        ((before == mark) | (before == NEWLINE)).all()
        and ((after == mark) | (after == NEWLINE) | (after == RETURN)).all()
    )
