"""Snapshots: whatever happens to them costs time, never correctness."""

from pathlib import Path

import numpy as np
import pytest

from services.runtime.snapshots import KEPT, Snapshot, SnapshotStore


def store(directory: Path, state_key: str = "spec-1") -> SnapshotStore:
    """The snapshots of one partition."""
    return SnapshotStore(directory, "group", "transactions", 0, state_key)


def files(directory: Path) -> list[Path]:
    """Snapshot files, oldest first."""
    return sorted(directory.rglob("*.snapshot"))


def usable(directory: Path, offset_max: int = 10_000, state_key: str = "spec-1") -> list[int]:
    """Offsets of the snapshots that would be loaded, newest first."""
    found = store(directory, state_key).newest(offset_max)
    return [candidate.offset for candidate in found if isinstance(candidate, Snapshot)]


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    """Names, types, values."""
    arrays = {
        "a": np.arange(5, dtype=np.int64),
        "b": np.array([[0.1, np.inf]], np.float32),
        "none": np.zeros(0, np.uint8),
    }
    store(tmp_path).save(42, arrays)
    snapshot = next(store(tmp_path).newest(42))
    assert isinstance(snapshot, Snapshot)
    assert snapshot.offset == 42
    for name, array in arrays.items():
        assert snapshot.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(snapshot.arrays[name], array)


def test_only_the_newest_are_kept_and_no_temporary_file_stays(tmp_path: Path) -> None:
    """A partition's directory does not grow."""
    for offset in range(1, 6):
        store(tmp_path).save(offset, {"a": np.zeros(1)})
    assert usable(tmp_path) == [5, 4]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == KEPT


def test_a_snapshot_beyond_the_committed_offset_is_not_used(tmp_path: Path) -> None:
    """Its transaction did not become visible, or the group's offset was set back."""
    store(tmp_path).save(10, {"a": np.zeros(1)})
    store(tmp_path).save(20, {"a": np.zeros(1)})
    assert usable(tmp_path, offset_max=15) == [10]


def test_a_snapshot_of_another_spec_is_not_used(tmp_path: Path) -> None:
    """Another spec is another state."""
    store(tmp_path).save(10, {"a": np.zeros(1)})
    assert usable(tmp_path, state_key="spec-2") == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "header", "version"])
def test_a_damaged_snapshot_is_reported_and_the_older_one_used(tmp_path: Path, damage: str) -> None:
    """Never an exception, never wrong state."""
    store(tmp_path).save(10, {"a": np.arange(100)})
    store(tmp_path).save(20, {"a": np.arange(100)})
    newest = files(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    if damage == "flip":
        content[-200] ^= 1
    elif damage == "version":
        content = bytearray(content.replace(b'"format_version": 1', b'"format_version": 9'))
    newest.write_bytes({"truncate": content[:-50], "empty": b"", "header": b"{}\n" + content}.get(damage, content))
    assert usable(tmp_path) == [10]
    assert any(isinstance(candidate, str) for candidate in store(tmp_path).newest(10_000))


def test_a_full_disk_leaves_the_older_snapshot_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is an OSError for the caller to count."""
    store(tmp_path).save(10, {"a": np.zeros(1)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.runtime.snapshots.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store(tmp_path).save(20, {"a": np.zeros(1)})
    assert usable(tmp_path) == [10]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
