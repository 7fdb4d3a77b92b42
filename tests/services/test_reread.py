"""A file that is read again when it is another one."""

import os
from pathlib import Path

import pytest

from services.reread import Reread


def test_a_file_is_read_again_when_it_changed_or_was_replaced_and_else_not(tmp_path: Path) -> None:
    """By its time and by its inode; one that is gone or cannot be used leaves what it said."""
    path, reads = tmp_path / "numbers", list[int]()

    def number(path: Path) -> int:
        reads.append(1)
        return int(path.read_text())

    path.write_text("1")
    file = Reread(path, number)
    assert (file.value, file.refresh(), len(reads)) == (1, False, 1)
    before = path.stat()
    replacement = tmp_path / "other"
    replacement.write_text("2")
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.replace(path)
    assert (file.refresh(), file.value) == (True, 2)
    path.write_text("no number")
    for _ in range(2):  # what could not be used is tried again
        with pytest.raises(ValueError, match="invalid literal"):
            file.refresh()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        file.refresh()
    assert file.value == 2
