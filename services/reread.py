"""A file that is read again when it is another one, or was written: keys, users."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Reread(Generic[T]):
    """What a file says. A file that cannot be read any more leaves what it said before.

    read: makes the value of the file; what it raises, the constructor and `refresh` raise.
    """

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path, self._read = path, read
        self._seen = self._look()
        self.value = read(path)

    def refresh(self) -> bool:
        """Take over what has changed; whether the file was read."""
        seen = self._look()
        if seen is not None and seen == self._seen:
            return False
        value = self._read(self._path)
        self._seen, self.value = seen, value
        return True

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
