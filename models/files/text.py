"""Text files of columns, opened as they are in the world: packed or not, any encoding, any delimiter. No polars."""

import contextlib
import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from models.files.options import ReadOptions, TableError, shown
from models.installation import install_command

SUFFIXES = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".zst")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
FIELD_CHARS_MAX = 1 << 20
HEAD_BYTES = 4096
LINE_BYTES_MAX = 16 << 20
BLOCK_LINES, BLOCK_CHARS = 50_000, 8 << 20
PACKED_BYTES = 1 << 9
"""Of zstd at once: no more than 16 MB come of it, where 64 KB could be two gigabytes."""
END_MARK = " \t\x1a"

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


class PlainLines(NamedTuple):
    """Lines without quotes, so each is one row. first: the line of the file, from 1."""

    first: int
    lines: list[str]


def _numbered(names: list[str]) -> tuple[list[str], dict[str, int]]:
    """Each name once, and how many columns had one of several."""
    counts, seen, found = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        again = f"{name} {seen[name]}"
        found.append(again if name and seen[name] > 1 and again not in counts else name)
    return found, {name: count for name, count in counts.items() if name and count > 1}


class TextTable:
    """A header and rows of text. columns: names, spaces around them removed. Raises TableError.

    repeated: names of several columns, and of how many; the second is called `NAME 2`, the third `NAME 3`.
    """

    def __init__(self, path: Path, lines: IO[str], options: ReadOptions, encoding: str) -> None:
        self.path, self.encoding = path, encoding
        first, self._before = _line(path, lines), 0
        while first and not first.strip():
            first, self._before = _line(path, lines), self._before + 1
        if first.lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
            self.delimiter, self._before, first = first[4], self._before + 1, _line(path, lines)
        else:
            self.delimiter = options.delimiter or _delimiter(path, first)
        if not first.strip():
            raise TableError(f"{path} is empty: give a file with a line of column names and rows below it.")
        self._lines = lines
        self._read_from(chain([first], lines), self._before)
        self.columns = [name.strip() for name in next(self._rows())[1]]
        if has_surrogate("".join(self.columns)):
            raise TableError(
                f"{path} is not UTF-8: line {self._before + 1}, the column names. Say which encoding it has with --encoding, "
                "for instance --encoding cp1252 (Windows) or --encoding latin-1."
            )
        if first.startswith("#") and len(self.columns) == 1:
            raise TableError(
                f"{path} begins with a comment (line {self._before + 1}): remove the lines above the column names."
            )
        self.columns, self.repeated = _numbered(self.columns)

    @property
    def header_line(self) -> int:
        """Line of the file at which the column names end, from 1. Before any row is read."""
        return self._before + self._reader.line_num

    def _read_from(self, lines: Iterator[str], before: int) -> None:
        self._before = before
        checked = _checked(self.path, lines, before)
        self._reader = csv.reader(checked, delimiter=self.delimiter, strict=True, skipinitialspace=True)

    def blocks(self) -> Iterator[PlainLines | list[tuple[int, list[str]]]]:
        """The rest of the file: lines as they are until the first quote, from there on as `rows`. Raises TableError."""
        number = self._before + self._reader.line_num
        while chunk := self._chunk(number):
            text = "".join(chunk)
            if '"' in text or "\0" in text:
                self._read_from(chain(chunk, self._lines), number)
                rows = self._rows()
                while block := list(islice(rows, BLOCK_LINES)):
                    yield block
                return
            yield PlainLines(number + 1, chunk)
            number += len(chunk)

    def _chunk(self, number: int) -> list[str]:
        try:
            return self._lines.readlines(BLOCK_CHARS)
        except UnicodeError:
            raise TableError(
                f"{self.path} is not {self.encoding} below line {number}: say which encoding it has with --encoding, for "
                "instance --encoding cp1252."
            ) from None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line of the file at which each row ends, from 1, and its fields; empty lines are left out. Raises TableError."""
        return self._rows()

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        reader, before = self._reader, self._before
        try:
            for row in reader:
                if row and not (len(row) == 1 and row[0].strip(END_MARK) == ""):
                    if len(row) == len(getattr(self, "columns", row)) + 1 and not row[-1].strip():
                        row.pop()
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
def opened(path: Path, options: ReadOptions, stdin: Any = None) -> Iterator[TextTable]:
    """The file's table while it is open. stdin: is read in its place. Raises TableError."""
    csv.field_size_limit(FIELD_CHARS_MAX)
    try:
        with contextlib.ExitStack() as stack:
            raw = bounded(path, stack.enter_context(unpacked(path) if stdin is None else io.BufferedReader(stdin)))
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


def unpacked(path: Path) -> io.BufferedReader:
    """A file's bytes, unpacked where it is packed. Raises OSError, TableError."""
    raw = path.open("rb")
    head = raw.peek(8)[:8]
    if head.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return io.BufferedReader(_Zstd(path, raw))
    for mark, kind in _OTHER_KINDS.items():
        if head.startswith(mark):
            raise TableError(f"{path} is {kind}: give CSV, also as .csv.gz or .csv.zst, or Parquet.")
    return raw


def bounded(path: Path, raw: io.BufferedReader) -> io.BufferedReader:
    """The same bytes. Reading raises TableError at a line of more than LINE_BYTES_MAX."""
    return io.BufferedReader(_Lines(path, raw))


class _Lines(io.RawIOBase):
    """Hands on what is read. Raises TableError at a line without an end, which would be held as one text."""

    def __init__(self, path: Path, raw: io.BufferedReader) -> None:
        self._path, self._raw, self._bytes = path, raw, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._raw.read1(len(buffer))
        buffer[: len(read)] = read
        end = max(read.rfind(b"\n"), read.rfind(b"\r"))
        self._bytes = self._bytes + len(read) if end < 0 else len(read) - end - 1
        if self._bytes > LINE_BYTES_MAX:
            raise TableError(f"{self._path} has a line of more than {LINE_BYTES_MAX:,} bytes: give one row a line.")
        return len(read)


class _Zstd(io.RawIOBase):
    """Unpacks as it is read, all frames. Raises TableError where the file ends within one."""

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        try:
            import zstandard
        except ModuleNotFoundError:
            raise TableError(f"{path} needs zstandard: {install_command('files')}, or unpack it.") from None
        self._path, self._raw, self._new, self._error = path, raw, zstandard.ZstdDecompressor, zstandard.ZstdError
        self._frame = self._new().decompressobj()
        self._ready, self._at, self._whole = b"", 0, True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._at >= len(self._ready):
            packed = self._frame.unused_data or self._raw.read(PACKED_BYTES)
            if not packed:
                if not self._whole:
                    raise TableError(f"{self._path} is cut short: copy it again.")
                return 0
            if self._frame.eof:
                self._frame = self._new().decompressobj()
            try:
                self._ready, self._at = self._frame.decompress(packed), 0
            except self._error:
                raise TableError(f"{self._path} is damaged: copy it again.") from None
            self._whole = self._frame.eof
        part = self._ready[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def _encoding(path: Path, head: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if head.count(0) > len(head) // 4:
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return "utf-8"


def _line(path: Path, lines: IO[str]) -> str:
    return lines.readline(FIELD_CHARS_MAX)


def has_surrogate(text: str) -> bool:
    """Whether it holds bytes that are not UTF-8."""
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)


def _checked(path: Path, lines: Iterator[str], before: int) -> Iterator[str]:
    for number, line in enumerate(lines, start=before + 1):
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
