"""A stream kept in Parquet: what a replay needs, for when Kafka's retention has deleted it.

A directory: `archive.json`, and a folder each for `transactions`, `scores`, `terminal-profiles` and `lists`, whose files
together hold the topic's records in order. Archives of the first version have no lists. Payloads are kept byte for byte, so the
replay's decoder sees what the stream's saw.
"""

import json
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from polars.exceptions import PolarsError

from models import durable
from schemas.topics import ENTITY_VALUES_HEADER
from services.engine.batches import Record
from services.engine.origin import NO_ORIGINS, Origins
from services.errors import AssayError
from services.replay.log import EmittedScore, Log, Spans
from services.verification.read import Progress, Span

FORMAT_VERSION = 2
READ_VERSIONS = (1, 2)
ABOUT = "archive.json"
INPUTS, SCORES, PROFILES, LISTS = "transactions", "scores", "terminal-profiles", "lists"
ORIGINS = "origins"
"""Of a source that is routed: where the user's record of each input lies, as topic-partition@offset. No replay reads it."""

ROWS_MAX = 500_000
"""Records in one file."""

RECORD = {"partition": pl.Int32, "offset": pl.Int64, "timestamp_ms": pl.Int64, "key": pl.Binary, "value": pl.Binary}
INPUT = {**RECORD, "entity_values": pl.Binary}
"""Of the input: what its header says of entities, where there are any."""

OPTIONAL = {"entity_values": pl.Binary, "lists_persons": pl.String}
"""What earlier archives lack."""

SCORE_1 = {"source_partition": pl.Int32, "source_offset": pl.Int64, "profiles_offset": pl.Int64, "value": pl.Binary}
ORIGIN = {"partition": pl.Int32, "offset": pl.Int64, "origin": pl.String}
SCORE = {**SCORE_1, "lists_offset": pl.Int64, "lists_persons": pl.String}


class ArchiveError(AssayError):
    """An archive that cannot be written or read."""


class ArchivedRecord(NamedTuple):
    """A record as the fold takes it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    entity_values: bytes | None = None

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """What a replay reads of the headers."""
        return () if self.entity_values is None else ((ENTITY_VALUES_HEADER, self.entity_values),)


class _Folder:
    """Writes one topic's rows, file after file."""

    def __init__(self, path: Path, schema: dict[str, Any]) -> None:
        path.mkdir()
        self._path, self._schema = path, schema
        self._rows: list[Sequence[Any]] = []
        self._files = 0
        self.rows = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Rows in order."""
        self._rows += rows
        self.rows += len(rows)
        if len(self._rows) >= ROWS_MAX:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            frame = pl.DataFrame(self._rows, schema=self._schema, orient="row")
            part = self._path / f"{self._files:06d}.part"
            frame.write_parquet(part, compression="zstd")
            durable.replace(part, part.with_suffix(".parquet"))
            self._rows, self._files = [], self._files + 1


async def write_archive(
    log: Log, path: Path, progress: Progress | None = None, origins: Origins = NO_ORIGINS
) -> dict[str, int]:
    """Everything that a replay of `log` reads, into the new directory `path`; returns the records by folder.

    `archive.json` is written last: a directory without it is not an archive. origins: of the input. Raises ArchiveError.
    """
    try:
        spans = await log.spans()
        _make(path)
        scores, inputs = _Folder(path / SCORES, SCORE), _Folder(path / INPUTS, INPUT)
        kept = _Folder(path / ORIGINS, ORIGIN)
        profiles, lists = _Folder(path / PROFILES, RECORD), _Folder(path / LISTS, RECORD)
        async for emitted in log.scores(progress):
            scores.add(emitted)
        async for _, records in log.inputs(progress):
            inputs.add([(*_row(record), _entity_values(record)) for record in records])
            kept.add([row for record in records if (row := _origin(record, origins))])
        profiles.add([_row(record) for record in await log.profiles()])
        lists.add([_row(record) for record in await log.lists()])
        folders = {INPUTS: inputs, SCORES: scores, PROFILES: profiles, LISTS: lists}
        for folder in (*folders.values(), kept):
            folder.close()
        about = {
            "format_version": FORMAT_VERSION,
            "topic": spans.topic,
            "spans": {partition: [span.begin, span.end] for partition, span in spans.by_partition.items()},
        }
        durable.write_file(path / ABOUT, lambda file: file.write((json.dumps(about, indent=1) + "\n").encode()))
    except OSError as error:
        raise ArchiveError(f"{path} cannot be written ({error.strerror or error}): choose another place.") from None
    return {name: folder.rows for name, folder in folders.items()}


def _make(path: Path) -> None:
    try:
        durable.make_directory(path.parent)
        path.mkdir()
    except FileExistsError:
        raise ArchiveError(
            f"{path} is there already: an archive is written once, into a directory of its own."
        ) from None


def _row(record: Record) -> tuple[Any, ...]:
    return record.partition, record.offset, record.timestamp, record.key, record.value


def _entity_values(record: Record) -> bytes | None:
    return dict(record.headers).get(ENTITY_VALUES_HEADER)


def _origin(record: Record, origins: Origins) -> tuple[Any, ...] | None:
    """Where the user's own record lies that an event was made of; None where intake made none."""
    found = origins.headers(record)
    return (record.partition, record.offset, found[0][1].decode("utf-8", "replace")) if found else None


class ArchiveLog:
    """An archive, read as the topics would be, without Kafka."""

    def __init__(self, path: Path, partitions: Collection[int] | None = None) -> None:
        """partitions: only these, of inputs and scores."""
        self._path, self._score = path, SCORE
        self._partitions = None if partitions is None else sorted(partitions)

    async def spans(self) -> Spans:
        """As they were when the archive was written."""
        try:
            about = json.loads((self._path / ABOUT).read_text(encoding="utf-8"))
            if about["format_version"] not in READ_VERSIONS:
                raise ValueError
            self._score = SCORE if about["format_version"] > 1 else SCORE_1
            spans = {int(partition): Span(*map(int, span)) for partition, span in about["spans"].items()}
            return Spans(str(about["topic"]), spans)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ArchiveError(
                f"{self._path} is not an archive of this version: `assay archive DIR` writes one."
            ) from None

    async def scores(self, progress: Progress | None) -> AsyncIterator[Sequence[EmittedScore]]:
        """File by file."""
        for rows in self._files(SCORES, self._score, progress):
            yield [EmittedScore(*row) for row in rows]

    async def profiles(self) -> list[Record]:
        """All of them."""
        return [ArchivedRecord(PROFILES, *row) for rows in self._files(PROFILES, RECORD, None) for row in rows]

    async def lists(self) -> list[Record]:
        """All of them."""
        return [ArchivedRecord(LISTS, *row) for rows in self._files(LISTS, RECORD, None) for row in rows]

    async def inputs(self, progress: Progress | None) -> AsyncIterator[tuple[int, list[Record]]]:
        """File by file, each partition's records together."""
        for rows in self._files(INPUTS, INPUT, progress):
            parts: dict[int, list[Record]] = {}
            for row in rows:
                parts.setdefault(row[0], []).append(ArchivedRecord(INPUTS, *row))
            for partition, records in parts.items():
                yield partition, records

    def _files(self, name: str, schema: dict[str, Any], progress: Progress | None) -> Iterator[list[tuple[Any, ...]]]:
        files = sorted((self._path / name).glob("*.parquet"))
        for place, file in enumerate(files):
            try:
                found = pl.read_parquet(file)
                absent = [pl.lit(None, type_).alias(field) for field, type_ in OPTIONAL.items() if field not in found]
                frame = found.with_columns(absent).select(pl.col(name).cast(of) for name, of in schema.items())
            except (PolarsError, OSError):
                raise ArchiveError(
                    f"{file} is damaged or not of this archive: restore it, or write the archive again."
                ) from None
            column = {INPUTS: "partition", SCORES: "source_partition"}.get(name)
            if self._partitions is not None and column is not None:
                frame = frame.filter(pl.col(column).is_in(self._partitions))
            yield frame.rows()
            if progress:
                progress(place + 1, len(files))
