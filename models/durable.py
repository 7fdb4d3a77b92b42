"""Files that survive a power cut once they are written: the content is flushed, and so is the directory that names it."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO


def sync_directory(path: Path) -> None:
    """Flush a directory's entries: until then a file made, renamed or removed in it may come back as it was."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory and its parents where they are missing; each new name is flushed."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def write_file(path: Path, fill: Callable[[BinaryIO], object], mode: int = 0o666) -> None:
    """Make or replace a file of what `fill` writes: all of it or nothing. mode: before the umask."""
    make_directory(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with _created(temporary, mode) as file:
            fill(file)
            flush(file)
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def create_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Make a file that is not there yet, whole; of several writers one succeeds. Raises FileExistsError for the others."""
    make_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with _created(temporary, mode) as file:
            file.write(content)
            flush(file)
        os.link(temporary, path)  # unlike a rename, it never replaces
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _created(path: Path, mode: int) -> BinaryIO:
    """A new file of our own. One that is there was left by a process of this number that was killed."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb")


def flush(file: IO[bytes]) -> None:
    """Hand everything written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def replace(part: Path, path: Path) -> None:
    """Give a finished file its name: its content is flushed first, the name afterwards."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_directory(path.parent)
