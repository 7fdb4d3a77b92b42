"""The quick way through text files: blocks of bytes whose rows are proven to be whole are parsed by polars, at once.

A block is taken only where nothing is open: each line is one row with the header's number of fields, and a quote stands at the
edges of a field alone. Whatever is not proven goes the careful way, to the same result.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

BLOCK_BYTES = 32 << 20
NEWLINE, RETURN, QUOTE = 10, 13, 34
_ODD = (b"\0", b"\x1a", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x1f")


@dataclass(frozen=True, slots=True)
class ByteBlock:
    """Whole lines of a file. first: the line of the first, from 1. rows: how many."""

    first: int
    content: bytes
    rows: int


def byte_blocks(raw: IO[bytes], lines_before: int) -> Iterator[ByteBlock]:
    """The file from the line after `lines_before` on, cut between lines."""
    for _ in range(lines_before):
        raw.readline()
    first, rest = lines_before + 1, b""
    while block := raw.read(BLOCK_BYTES):
        content = rest + block
        end = content.rfind(b"\n") + 1
        content, rest = content[:end], content[end:]
        if content:
            rows = content.count(b"\n")
            yield ByteBlock(first, content, rows)
            first += rows
    if rest:
        yield ByteBlock(first, rest + b"\n", 1)


def split_columns(
    block: ByteBlock, delimiter: str, header: Sequence[str], wanted: Sequence[str]
) -> tuple[pl.DataFrame, bool] | None:
    """Columns of text, empty cells null, and whether there may be spaces around cells. None where it is not proven plain."""
    content, mark = block.content, delimiter.encode()
    if len(mark) != 1 or any(odd in content for odd in _ODD) or not _rectangular(content, mark, len(header)):
        return None
    quoted = b'"' in content
    try:
        frame = pl.read_csv(
            io.BytesIO(content),
            has_header=False,
            new_columns=[f"f{at}" for at in range(len(header))],
            columns=[header.index(name) for name in wanted],
            separator=delimiter,
            quote_char='"' if quoted else None,
            infer_schema=False,
        )
    except (PolarsError, OSError):
        return None  # not UTF-8, for instance
    if len(frame) != block.rows:
        return None
    frame = frame.select(pl.col(f"f{header.index(name)}").alias(name) for name in wanted)
    return frame, quoted or not content.isascii() or _spaced(content, mark)


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


def _rectangular(content: bytes, mark: bytes, width: int) -> bool:
    """Whether each line has `width` fields, quotes at the edges of fields alone, and no other end of line than one kind."""
    letters = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(letters == NEWLINE)
    marks = np.flatnonzero(letters == mark[0])
    returns = content.count(b"\r")
    if returns and (returns != len(ends) or content.count(b"\r\n") != returns):
        return False
    if b'"' in content:
        quotes = np.flatnonzero(letters == QUOTE)
        if not _quotes_at_edges(letters, quotes, ends, mark[0]):
            return False
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    if width == 1:
        return False  # an empty line and an empty cell are the same there
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
