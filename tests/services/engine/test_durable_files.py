"""What a kill between two steps leaves is found and removed, and erasing erases it too."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.bundle.keys import KeyFileError, SealKey, write_key_pair
from services.privacy.subject_keys import SubjectKeys
from services.storage import Directory

KILLED = """
import asyncio, os
from pathlib import Path
from models.bundle.keys import SealKey
from services.storage import Directory
from services.privacy.subject_keys import SubjectKeys
link = os.link
def killed(*given):
    if {linked!r}:
        link(*given)
    os.kill(os.getpid(), 9)
os.link = killed
asyncio.run(SubjectKeys(SealKey(b"m" * 32), Directory(Path({folder!r}))).of(["k1:card"]))
"""


def test_an_erasure_leaves_no_copy_of_the_salt_that_a_kill_left(tmp_path: Path) -> None:
    """Killed between the link and the removal of the temporary name: the salt lies there twice."""
    done = subprocess.run([sys.executable, "-c", KILLED.format(folder=str(tmp_path), linked=True)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    keys = SubjectKeys(SealKey(b"m" * 32), Directory(tmp_path))
    asyncio.run(keys.of(["k1:card"]))
    assert keys.erase("k1:card")
    assert list(tmp_path.iterdir()) == []


def test_an_erasure_leaves_no_salt_that_a_kill_kept_from_its_name(tmp_path: Path) -> None:
    """Killed before the link: nothing was sealed with it, and yet it does not stay."""
    done = subprocess.run([sys.executable, "-c", KILLED.format(folder=str(tmp_path), linked=False)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    assert not SubjectKeys(SealKey(b"m" * 32), Directory(tmp_path)).erase("k1:card")
    assert list(tmp_path.iterdir()) == []


def test_deleting_one_file_leaves_its_neighbours(tmp_path: Path) -> None:
    """Also those whose names begin alike, and their temporary ones."""
    folder = Directory(tmp_path)
    for name in ("ab", "abc", ".abc.1.tmp", ".ab.1.tmp", "ab.77.tmp", "ab.txt"):
        (tmp_path / name).write_text(name)
    folder.delete("ab")
    assert sorted(os.listdir(tmp_path)) == [".abc.1.tmp", "ab.txt", "abc"]
    folder.delete("nothing")
    Directory(tmp_path / "nowhere").delete("ab")


def test_half_a_key_pair_is_made_whole(tmp_path: Path) -> None:
    """Killed after the secret half: the same command writes the public half that belongs to it, and no other key."""
    write_key_pair(tmp_path / "demo")
    whole = (tmp_path / "demo.key").read_bytes(), (tmp_path / "demo.pub").read_bytes()
    (tmp_path / "demo.pub").unlink()
    write_key_pair(tmp_path / "demo")
    assert ((tmp_path / "demo.key").read_bytes(), (tmp_path / "demo.pub").read_bytes()) == whole
    for ending in (".key", ""):  # a public half without its secret one is somebody's pin, and stays
        (tmp_path / f"demo{ending}").unlink(missing_ok=True)
        with pytest.raises(KeyFileError, match="exists and is left alone"):
            write_key_pair(tmp_path / "demo")
    assert (tmp_path / "demo.pub").read_bytes() == whole[1]
