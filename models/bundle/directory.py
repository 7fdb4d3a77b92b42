"""Replaces a directory with another: whenever a kill comes, the old one or the new one is there, never a mixture."""

import ctypes
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from models import durable

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # fcntl.h, linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS


def replace_directory(path: Path, files: Mapping[str, bytes], check: Callable[[Path], object] | None = None) -> None:
    """Write `files` to the directory `path`, replacing what is there. Raises OSError.

    check: looks at the new directory before it takes the name, and raises where it must not.
    """
    path = path.resolve()  # behind a link, what it names is replaced, and the link stays
    durable.make_directory(path.parent)
    fresh = _fresh(path)
    with _alone(path.parent):  # so what is here under our temporary names was left by a kill
        _recover(path)
        fresh.mkdir(mode=0o755)
        try:
            for name, content in files.items():
                with (fresh / name).open("wb") as file:
                    file.write(content)
                    durable.flush(file)
            durable.sync_directory(fresh)
            if check is not None:
                check(fresh)
            _take_name(fresh, path)
            durable.sync_directory(path.parent)
        finally:
            _recover(path)


def standing(path: Path) -> Path:
    """The directory to read for `path`: on a system without an exchange of names, a kill may have left the old one aside."""
    return _old(path) if not path.exists() and _old(path).is_dir() else path


def _take_name(fresh: Path, path: Path) -> None:
    """Afterwards `fresh` is the new one's former name, and holds the old one or nothing."""
    if not path.exists():
        fresh.rename(path)
    elif not _exchanged(fresh, path):
        path.rename(_old(path))
        fresh.rename(path)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two names in one step (renameat2, Linux; renamex_np, macOS); False where the system or file system has none."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(library, "renameat2"):
        return bool(library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
    return hasattr(library, "renamex_np") and library.renamex_np(*names, _RENAME_SWAP) == 0


def _recover(path: Path) -> None:
    """Bring back a directory that a kill left aside, and remove what else it left."""
    if not path.exists() and _old(path).is_dir():
        _old(path).rename(path)
    for left in (_fresh(path), _old(path)):
        if left.is_dir():
            shutil.rmtree(left)


def _fresh(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer of the folder at a time; the system takes the lock from a process that ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
