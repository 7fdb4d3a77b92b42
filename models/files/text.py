"""Text files of columns, opened as they are in the world: packed or not, any encoding, any delimiter. No polars."""

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from models.files.options import ReadOptions, TableError, shown

SUFFIXES = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".zst")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
FIELD_CHARS_MAX = 1 << 20
HEAD_BYTES = 4096

_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "Parquet; end its name in .parquet",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"%PDF": "a PDF",
}


def is_text(path: Path) -> bool:
    """Whether the name says that it is text in columns, packed or not."""
    return path.suffixes[-1:] == [path.suffix] and (
        path.suffix in SUFFIXES or (path.suffix in PACKED and Path(path.stem).suffix in SUFFIXES)
    )


class TextTable:
    """A header and rows of text. columns: names, spaces around them removed. Raises TableError."""

    def __init__(self, path: Path, lines: IO[str], options: ReadOptions, encoding: str) -> None:
        self.path, self.encoding = path, encoding
        first = _line(path, lines)
        if first.lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
            self._delimiter, self._before, first = first[4], 1, _line(path, lines)
        else:
            self._delimiter, self._before = options.delimiter or _delimiter(path, first), 0
        if not first.strip():
            raise TableError(f"{path} is empty: give a file with a line of column names and rows below it.")
        self._reader = csv.reader(_checked(path, first, lines), delimiter=self._delimiter, strict=True)
        self.columns = [name.strip() for name in next(self._rows())[1]]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line of the file at which each row ends, from 1, and its fields; empty lines are left out. Raises TableError."""
        return self._rows()

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        reader, before = self._reader, self._before
        try:
            for row in reader:
                if row:
                    yield reader.line_num + before, row
        except csv.Error as error:
            why = (
                "is longer than a field may be"
                if "limit" in str(error)
                else "has a quote that is not closed or doubled"
            )
            raise TableError(f"{self.path}: line {reader.line_num + before} {why}: correct the line.") from None
        except UnicodeError:
            raise TableError(
                f"{self.path} is not {self.encoding} from line {reader.line_num + before + 1} on: say which encoding it has "
                "with --encoding, for instance --encoding cp1252."
            ) from None
        except (OSError, EOFError, zlib.error):
            raise TableError(
                f"{self.path} is cut short or damaged after line {reader.line_num + before}: copy it again."
            ) from None


@contextlib.contextmanager
def opened(path: Path, options: ReadOptions) -> Iterator[TextTable]:
    """The file's table while it is open. Raises TableError."""
    csv.field_size_limit(FIELD_CHARS_MAX)
    try:
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(_unpacked(path))
            encoding = options.encoding or _encoding(path, raw.peek(HEAD_BYTES)[:HEAD_BYTES])
            errors = "strict" if options.encoding else "surrogateescape"
            lines = io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="")
            yield TextTable(path, lines, options, encoding)
    except LookupError:
        raise TableError(
            f"--encoding {options.encoding} is not known: give for instance utf-8, cp1252 or latin-1."
        ) from None
    except UnicodeError:
        raise TableError(
            f"{path} is not {options.encoding or 'UTF-8'}: give another --encoding, for instance cp1252."
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise TableError(f"{path} is cut short or damaged: copy it again.") from None
    except OSError as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read as its suffix says"
        raise TableError(f"{path} {why}: check the path and the format.") from None


def _unpacked(path: Path) -> io.BufferedReader:
    raw = path.open("rb")
    head = raw.peek(8)[:8]
    if head.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        import cramjam

        try:
            return io.BufferedReader(io.BytesIO(bytes(cramjam.zstd.decompress(raw.read()))))
        except cramjam.DecompressionError:
            raise TableError(f"{path} is cut short or damaged: copy it again.") from None
    for mark, kind in _OTHER_KINDS.items():
        if head.startswith(mark):
            raise TableError(f"{path} is {kind}: give CSV, also as .csv.gz or .csv.zst, or Parquet.")
    return raw


def _encoding(path: Path, head: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if head.count(0) > len(head) // 4:
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return "utf-8"


def _line(path: Path, lines: IO[str]) -> str:
    return lines.readline(FIELD_CHARS_MAX)


def _checked(path: Path, first: str, lines: IO[str]) -> Iterator[str]:
    if "\0" in first:
        raise TableError(f"{path}: line 1 has a NUL byte, which no text has: export the file again, or remove it.")
    yield first
    for number, line in enumerate(lines, start=2):
        if "\0" in line:
            raise TableError(
                f"{path}: line {number} has a NUL byte, which no text has: export the file again, or remove it."
            )
        yield line


def _delimiter(path: Path, header: str) -> str:
    if ".tsv" in path.suffixes:
        return "\t"
    bare = "".join(header.split('"')[::2])
    counts = sorted(((bare.count(mark), mark) for mark in DELIMITERS), reverse=True)
    if counts[0][0] and counts[0][0] == counts[1][0]:
        marks = " or ".join(DELIMITERS[mark] for _, mark in counts[:2])
        raise TableError(
            f"{path} has columns between {marks}: say which with --delimiter; it begins with {shown([bare[:40]])}."
        )
    return counts[0][1] if counts[0][0] else ","
