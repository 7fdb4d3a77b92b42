"""A directory is replaced as a whole: killed anywhere, the old one or the new one is read, and the next write cleans up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.bundle import directory
from models.bundle.directory import replace_directory, standing

OLD, NEW, NEXT = ({"a": word, "b": word} for word in (b"old", b"new", b"next"))

CHILD = """
import os, sys
from pathlib import Path
from models.bundle import directory
exchange, step = sys.argv[2] == "exchange", int(sys.argv[3])
steps = 0
def counted(function):
    def called(*given, **named):
        global steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), 9)
        return function(*given, **named)
    return called
if not exchange:
    directory._exchanged = lambda *names: False
for owner, name in ((Path, "rename"), (Path, "mkdir"), (directory.shutil, "rmtree"), (os, "fsync"),
                    (os, "close"), (directory, "_exchanged")):
    setattr(owner, name, counted(getattr(owner, name)))
directory.replace_directory(Path(sys.argv[1]), {"a": b"new", "b": b"new"})
"""


def content(path: Path) -> dict[str, bytes]:
    """What a reader finds."""
    return {file.name: file.read_bytes() for file in standing(path).iterdir()}


@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_killed_at_any_step_the_old_or_the_new_is_read_and_the_next_write_cleans_up(tmp_path: Path, way: str) -> None:
    """Before each call that changes something on disk, one after the other, until a run comes through."""
    seen = set()
    for step in range(1, 50):
        path = tmp_path / str(step) / "bundle"
        replace_directory(path, OLD)
        done = subprocess.run([sys.executable, "-c", CHILD, str(path), way, str(step)], check=False)
        found = content(path)
        assert found in (OLD, NEW), step
        assert way == "renames" or path.is_dir(), step
        seen.add(found["a"])
        replace_directory(path, NEXT)
        assert content(path) == NEXT, step
        assert os.listdir(path.parent) == ["bundle"], step
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    else:
        pytest.fail("no run came through")
    assert seen == {b"old", b"new"}


def test_what_a_check_refuses_takes_no_name(tmp_path: Path) -> None:
    """The old one stays, and nothing beside it."""
    path = tmp_path / "bundle"
    replace_directory(path, OLD)

    def refuse(fresh: Path) -> None:
        assert fresh != path
        raise ValueError(fresh.name)

    with pytest.raises(ValueError, match="new"):
        replace_directory(path, NEW, check=refuse)
    assert content(path) == OLD
    assert os.listdir(tmp_path) == ["bundle"]


def test_names_are_swapped_in_one_step_on_linux(tmp_path: Path) -> None:
    """So that no moment is without a bundle; where there is no such call, `standing` finds the old one."""
    replace_directory(tmp_path / "a", OLD)
    replace_directory(tmp_path / "b", NEW)
    if not sys.platform.startswith("linux"):
        pytest.skip("renameat2 is Linux's")
    assert directory._exchanged(tmp_path / "a", tmp_path / "b")
    assert (content(tmp_path / "a"), content(tmp_path / "b")) == (NEW, OLD)
