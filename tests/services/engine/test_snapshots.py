"""Snapshots: whatever happens to them costs time, never correctness. In a directory and behind a URL alike."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.features.capture import Arrays, Capture
from services.engine.snapshots import KEPT, NO_LOG_ID, Snapshot, SnapshotStore, partition_key
from services.errors import SettingsError
from services.storage import Directory, Storage, open_storage


@pytest.fixture(params=["directory", "url"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """An empty folder."""
    if request.param == "directory":
        yield open_storage(str(tmp_path), "group", "transactions-0")
        return
    url = f"memory://{uuid.uuid4().hex}"
    yield open_storage(url, "group", "transactions-0")
    fsspec.filesystem("memory").rm(url, recursive=True)


def store(where: Storage, state_key: str = "spec-1") -> SnapshotStore:
    """The snapshots of one partition."""
    return SnapshotStore(where, state_key)


def of(arrays: Arrays) -> Capture:
    """Arrays as a state gives them."""
    return Capture.of(lambda: arrays)


def usable(where: Storage, offset_max: int = 10_000, state_key: str = "spec-1") -> list[int]:
    """Offsets of the snapshots that would be loaded, newest first."""
    found = store(where, state_key).newest(offset_max)
    return [candidate.offset for candidate in found if isinstance(candidate, Snapshot)]


def content(where: Storage, name: str) -> bytes:
    with where.open(name) as file:
        return file.read()


def test_a_snapshot_comes_back_as_it_was(where: Storage) -> None:
    """Names, types, values."""
    arrays = {
        "a": np.arange(5, dtype=np.int64),
        "b": np.array([[0.1, np.inf]], np.float32),
        "none": np.zeros(0, np.uint8),
        "columns": np.arange(6).reshape(2, 3).T,
    }
    store(where).save(42, of(arrays))
    snapshot = next(store(where).newest(42))
    assert isinstance(snapshot, Snapshot)
    assert snapshot.offset == 42
    for name, array in arrays.items():
        assert snapshot.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(snapshot.arrays[name], array)


def test_only_the_newest_are_kept_and_no_temporary_file_stays(where: Storage) -> None:
    """A partition's folder does not grow."""
    for offset in range(1, 6):
        store(where).save(offset, of({"a": np.zeros(1)}))
    assert usable(where) == [5, 4]
    assert len(where.names()) == KEPT


def test_a_snapshot_beyond_the_committed_offset_is_not_used(where: Storage) -> None:
    """Its transaction did not become visible, or the group's offset was set back."""
    store(where).save(10, of({"a": np.zeros(1)}))
    store(where).save(20, of({"a": np.zeros(1)}))
    assert usable(where, offset_max=15) == [10]


def test_a_snapshot_of_another_spec_is_not_used(where: Storage) -> None:
    """Another spec is another state."""
    store(where).save(10, of({"a": np.zeros(1)}))
    assert usable(where, state_key="spec-2") == []


@given(st.data())
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_snapshot_is_reported_and_the_older_one_used(tmp_path: Path, data: st.DataObject) -> None:
    """A bit flipped anywhere, a cut anywhere, something added: never an exception, never wrong state."""
    where = Directory(tmp_path)
    for offset in (10, 20):
        store(where).save(offset, of({"a": np.arange(100), "b": np.ones((3, 4), np.float32)}))
    newest = bytearray(content(where, f"{20:020d}.{NO_LOG_ID}.snapshot"))
    match data.draw(st.sampled_from(["flip", "cut", "longer"])):
        case "flip":
            newest[data.draw(st.integers(0, len(newest) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del newest[data.draw(st.integers(0, len(newest) - 1)) :]
        case _:
            newest += b"x"
    where.write(f"{20:020d}.{NO_LOG_ID}.snapshot", lambda file: file.write(newest))
    found = list(store(where).newest(10_000))
    good = {one.offset: one.arrays for one in found if isinstance(one, Snapshot)}
    assert 10 in good
    # what no checksum covers is in the header, and says nothing about the state: a name, or white space
    assert 20 not in good or all(good[20][name].tobytes() == good[10][name].tobytes() for name in good[10])
    assert len(found) == 2


@pytest.mark.parametrize(
    "change",
    [{"offset": 9}, {"offset": 10**30}, {"offset": 1e400}, {"arrays": ["b"]}, {"sha256": None}, {"before": 3}],
    ids=str,
)
def test_a_snapshot_whose_header_was_changed_is_not_used(tmp_path: Path, change: dict[str, Any]) -> None:
    """The offset above all: a state that is taken for that of another offset scores wrongly, without a word."""
    where, name = Directory(tmp_path), f"{20:020d}.{NO_LOG_ID}.snapshot"
    store(where).save(20, of({"a": np.arange(100)}))
    header, _, arrays = content(where, name).partition(b"\n")
    changed = json.dumps(json.loads(header) | change).encode() + b"\n" + arrays
    where.write(name, lambda file: file.write(changed))
    assert usable(where) == []


def test_a_header_of_brackets_is_a_damaged_snapshot(tmp_path: Path) -> None:
    """It is a RecursionError of the parser's, which ended the process at each start."""
    where, name = Directory(tmp_path), f"{20:020d}.{NO_LOG_ID}.snapshot"
    where.write(name, lambda file: file.write(b"[" * 60_000))
    assert "is not usable" in str(next(store(where).newest(100)))


def test_under_a_key_a_forged_snapshot_costs_time_and_no_more(tmp_path: Path) -> None:
    """Changed with its checksum made right, written without the key, or another partition's: each is folded again."""
    where, name = Directory(tmp_path), f"{20:020d}.{NO_LOG_ID}.snapshot"
    mine, other = (partition_key(b"a secret of 16 bytes", f"g/t-{number}") for number in (0, 1))

    def found(key: bytes | None) -> list[Any]:
        return [getattr(one, "offset", one) for one in SnapshotStore(where, "spec-1", key=key).newest(100)]

    SnapshotStore(where, "spec-1", key=mine).save(20, of({"a": np.arange(3)}))
    assert found(mine) == [20]
    assert found(None) == [20]  # the key can be taken away again
    assert "not written under ASSAY_SNAPSHOT_KEY" in found(other)[0]
    written = content(where, name)[:-1].rpartition(b"\n")[2]
    SnapshotStore(where, "spec-1").save(20, of({"a": np.arange(4)}))
    assert "not written under ASSAY_SNAPSHOT_KEY" in found(mine)[0]
    forged, _, checksum = content(where, name)[:-1].rpartition(b"\n")
    where.write(name, lambda file: file.write(forged + b"\n" + checksum + written[64:] + b"\n"))
    assert "not written under ASSAY_SNAPSHOT_KEY" in found(mine)[0]


def test_a_full_disk_leaves_the_older_snapshot_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is an OSError for the caller to count."""
    where = Directory(tmp_path)
    store(where).save(10, of({"a": np.zeros(1)}))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.durable.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store(where).save(20, of({"a": np.zeros(1)}))
    assert usable(where) == [10]
    assert len(where.names()) == 1


def test_a_store_that_fails_is_an_oserror_like_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """On saving the caller counts it; on loading it is one reason more to fold the log."""
    where = open_storage(f"memory://{uuid.uuid4().hex}")

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("access denied")

    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "_open", refuse)
    with pytest.raises(OSError, match="access denied"):
        store(where).save(20, of({"a": np.zeros(1)}))
    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "ls", refuse)
    (why,) = store(where).newest(100)
    assert "access denied" in str(why)


def test_a_url_that_nothing_opens_is_one_sentence() -> None:
    """At start, not at the first snapshot."""
    with pytest.raises(SettingsError, match="ASSAY_SNAPSHOT_URL=gopher://x cannot be opened"):
        open_storage("gopher://x")


def test_a_snapshot_of_another_log_is_neither_used_nor_kept_in_the_way(where: Storage) -> None:
    """A topic made again under its name begins at 0: the old one's offsets are higher, and say nothing of it."""
    old, new = SnapshotStore(where, "spec-1", "a" * 32), SnapshotStore(where, "spec-1", "b" * 32)
    for offset in (900, 1000):
        old.save(offset, of({"a": np.zeros(1)}))
    assert [isinstance(found, str) and "another log" in found for found in new.newest(10_000)] == [True, True]
    assert new.newest_offset() is None
    new.save(100, of({"a": np.ones(1)}))
    found = [one for one in new.newest(10_000) if isinstance(one, Snapshot)]
    assert [(one.offset, one.arrays["a"].tolist()) for one in found] == [(100, [1.0])]
    assert len(where.names()) == 1


def test_a_new_snapshot_is_kept_beside_those_ahead_of_it(where: Storage) -> None:
    """The group's offset was set back: what is ahead must not push out what is being saved."""
    for offset in (900, 1000, 100):
        store(where).save(offset, of({"a": np.zeros(1)}))
    assert usable(where, offset_max=100) == [100]
