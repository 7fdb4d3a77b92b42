"""What an archive refuses, and that many files read as one."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from schemas.topics import EVENTS, SOURCE_SPEC_HEADER, source_headers
from services.engine.batches import Record
from services.engine.origin import Origins
from services.replay import archive
from services.replay.archive import ArchivedRecord, ArchiveError, ArchiveLog, write_archive
from services.replay.log import EmittedScore, Spans
from services.verification.read import Progress, Span

RECORDS = [
    ArchivedRecord("transactions", i % 2, i // 2, 1_000 + i, b"k", None if i == 5 else b"%d" % i) for i in range(10)
]
SCORES = [EmittedScore(i % 2, i // 2, 7, b"{}") for i in range(10)]


class FixedLog:
    """Ten records on two partitions."""

    async def spans(self) -> Spans:
        """Five offsets each."""
        return Spans("transactions", {0: Span(0, 5), 1: Span(0, 5)})

    async def scores(self, progress: Progress | None) -> AsyncIterator[Sequence[EmittedScore]]:
        """One chunk."""
        yield SCORES

    async def lists(self) -> list[Record]:
        """None."""
        return []

    async def profiles(self) -> list[Record]:
        """None."""
        return []

    async def inputs(self, progress: Progress | None) -> AsyncIterator[tuple[int, list[Record]]]:
        """One record at a time."""
        for record in RECORDS:
            yield record.partition, [record]


async def test_what_is_written_in_many_files_is_read_back_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes, nulls, offsets and timestamps, each partition in order."""
    monkeypatch.setattr(archive, "ROWS_MAX", 3)
    written = await write_archive(FixedLog(), tmp_path / "a")
    assert written == {"transactions": 10, "scores": 10, "terminal-profiles": 0, "lists": 0}
    assert len(list((tmp_path / "a" / "transactions").iterdir())) == 4
    log = ArchiveLog(tmp_path / "a")
    assert await log.spans() == await FixedLog().spans()
    assert [score async for chunk in log.scores(None) for score in chunk] == SCORES
    read = [record async for _, records in log.inputs(None) for record in records]
    assert [r for r in read if r.partition == 1] == [r for r in RECORDS if r.partition == 1]
    assert len(read) == 10
    assert await log.profiles() == []


async def test_an_archive_is_never_written_over(tmp_path: Path) -> None:
    """One sentence, and what is there stays."""
    with pytest.raises(ArchiveError, match="is there already"):
        await write_archive(FixedLog(), tmp_path)


async def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    """As is one whose writer never came to its end."""
    with pytest.raises(ArchiveError, match="is not an archive"):
        await ArchiveLog(tmp_path).spans()


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Which one, and what to do."""
    await write_archive(FixedLog(), tmp_path / "a")
    (file,) = (tmp_path / "a" / "scores").iterdir()
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ArchiveError, match=r"000000\.parquet is damaged"):
        [chunk async for chunk in ArchiveLog(tmp_path / "a").scores(None)]


async def test_an_archive_of_the_first_version_reads_as_one_without_lists(tmp_path: Path) -> None:
    """Its scores have no offset of lists."""
    path = tmp_path / "a"
    await write_archive(FixedLog(), path)
    (path / "lists").rmdir()
    for file in (path / "scores").iterdir():
        pl.read_parquet(file).drop("lists_offset").write_parquet(file)
    about = (path / "archive.json").read_text()
    (path / "archive.json").write_text(about.replace('"format_version": 2', '"format_version": 1'))
    log = ArchiveLog(path)
    await log.spans()
    assert [score async for chunk in log.scores(None) for score in chunk] == SCORES
    assert await log.lists() == []


async def test_an_archive_of_events_says_where_the_users_own_records_lie(tmp_path: Path) -> None:
    """By the headers that intake wrote; an input without them has no row."""
    headers = [*source_headers("own", 3, 17, 1), (SOURCE_SPEC_HEADER, b"0" * 16)]
    event = SimpleNamespace(
        topic="t.events", partition=1, offset=4, timestamp=1, key=b"k", value=b"{}", headers=headers
    )

    class Routed(FixedLog):
        async def inputs(self, progress: Progress | None) -> AsyncIterator[tuple[int, list[Record]]]:
            yield 1, [event, RECORDS[1]]

    assert (await write_archive(Routed(), tmp_path / "a", None, Origins.of([EVENTS], "t.")))["transactions"] == 2
    (file,) = (tmp_path / "a" / "origins").iterdir()
    assert pl.read_parquet(file).rows() == [(1, 4, "own-3@17")]
