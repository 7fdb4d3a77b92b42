"""What is written survives a power cut: each name is flushed as well as what it names."""

import os
from pathlib import Path

import pytest

from models import durable
from services.storage import Directory


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where every flushed file lay when it was flushed, in order."""
    paths: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr("models.durable.os.fsync", noted)
    return paths


def test_a_written_file_and_the_new_directories_above_it_are_flushed(tmp_path: Path, flushed: list[str]) -> None:
    """The content before its name, the name before the return, and each directory that was made."""
    durable.write_file(tmp_path / "a" / "b" / "file", lambda file: file.write(b"x"))
    assert flushed[:2] == [str(tmp_path), str(tmp_path / "a")]
    assert flushed[2].startswith(str(tmp_path / "a" / "b" / "file"))
    assert flushed[3:] == [str(tmp_path / "a" / "b")]


def test_a_created_and_a_deleted_file_are_flushed_with_their_directory(tmp_path: Path, flushed: list[str]) -> None:
    """An erased salt must not come back after a power cut."""
    durable.create_file(tmp_path / "salt", b"x")
    assert flushed[-1] == str(tmp_path)
    with pytest.raises(FileExistsError):
        durable.create_file(tmp_path / "salt", b"y")
    del flushed[:]
    Directory(tmp_path).delete("salt")
    assert flushed == [str(tmp_path)]
    assert list(tmp_path.iterdir()) == []
