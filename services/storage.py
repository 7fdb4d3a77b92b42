"""Where files are kept: a directory, or any store that fsspec knows by URL. A file is there whole or not at all."""

import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from services.errors import SettingsError
from services.settings.secrets import shown_url

Fill = Callable[[BinaryIO], None]


class Place(Protocol):
    """A folder of files. Every method raises OSError where the store does not work."""

    def names(self) -> list[str]:
        """Names of the files; none where the folder does not exist."""

    def write(self, name: str, fill: Fill) -> None:
        """Make or replace a file of what `fill` writes."""

    def create(self, name: str, content: bytes) -> None:
        """Make a file that is not there yet, whole; of several writers one succeeds. Raises FileExistsError for the others."""

    def open(self, name: str) -> BinaryIO:
        """A file to read from."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""


class Directory:
    """On this machine. Written under a temporary name, flushed to disk, renamed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """Names of the files; none where the folder does not exist."""
        return [path.name for path in self._path.iterdir()] if self._path.is_dir() else []

    def write(self, name: str, fill: Fill) -> None:
        """Make or replace a file of what `fill` writes."""
        self._path.mkdir(parents=True, exist_ok=True)
        temporary = self._path / f"{name}.{os.getpid()}.tmp"
        try:
            with temporary.open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path / name)
        finally:
            temporary.unlink(missing_ok=True)
        self._sync()

    def create(self, name: str, content: bytes) -> None:
        """Make a file that is not there yet, whole; of several writers one succeeds. Raises FileExistsError for the others."""
        self._path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._path, prefix=f".{name}.", suffix=".tmp") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.link(file.name, self._path / name)  # unlike a rename, it never replaces
        self._sync()

    def open(self, name: str) -> BinaryIO:
        """A file to read from; a link is refused, since what it points to is not ours."""
        return os.fdopen(os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")

    def delete(self, name: str) -> None:
        """Remove a file, if it is there, and what a kill left of it under temporary names: its content lies there too."""
        if not self._path.is_dir():
            return
        for path in self._path.iterdir():
            left = path.name.endswith(".tmp") and path.name.startswith((f".{name}.", f"{name}."))
            if left or path.name == name:
                path.unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        """The folder's entries reach the disk: what was made or removed is so after a power cut too."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Store:
    """Behind a URL. Object stores show an object when it is whole; what others leave half is found by its checksum."""

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem, self._path = filesystem, path.rstrip("/")

    def names(self) -> list[str]:
        """Names of the files; none where the folder does not exist."""
        found: list[str] = self._do(self._listed)
        return found

    def write(self, name: str, fill: Fill) -> None:
        """Make or replace a file of what `fill` writes."""

        def put() -> None:
            self._filesystem.makedirs(self._path, exist_ok=True)
            with self._filesystem.open(f"{self._path}/{name}", "wb") as file:
                fill(file)

        self._do(put)

    def create(self, name: str, content: bytes) -> None:
        """Make a file that is not there yet, whole; of several writers one succeeds. Raises FileExistsError for the others.

        S3 and its like decide between the writers themselves (If-None-Match); of other stores, what their driver does.
        """

        def put() -> None:
            self._filesystem.makedirs(self._path, exist_ok=True)
            self._filesystem.pipe_file(f"{self._path}/{name}", content, mode="create")

        self._do(put)

    def open(self, name: str) -> BinaryIO:
        """A file to read from."""
        opened: BinaryIO = self._do(lambda: self._filesystem.open(f"{self._path}/{name}", "rb"))
        return opened

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._do(lambda: self._filesystem.rm_file(f"{self._path}/{name}"))

    def _listed(self) -> list[str]:
        self._filesystem.invalidate_cache()
        if not self._filesystem.exists(self._path):
            return []
        return [str(path).rpartition("/")[2] for path in self._filesystem.ls(self._path, detail=False)]

    @staticmethod
    def _do(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:  # each store has errors of its own kinds
            raise OSError(f"{type(error).__name__}: {error}") from error


def place(url: str, *parts: str, setting: str = "ASSAY_SNAPSHOT_URL") -> Place:
    """The folder `parts` below a directory or URL. Raises SettingsError where nothing here can open it.

    setting: where the URL comes from, for the sentence.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return Directory(Path(rest if separator else url, *parts))
    try:
        filesystem, path = importlib.import_module("fsspec").url_to_fs(url)
    except ModuleNotFoundError:
        raise SettingsError(
            f"{setting}={shown_url(url)} needs fsspec: pip install 'assay-scoring[store]', or name a directory."
        ) from None
    except (ImportError, ValueError) as error:
        why = str(error).replace(url, shown_url(url))
        raise SettingsError(f"{setting}={shown_url(url)} cannot be opened ({why}): install what it needs.") from None
    return Store(filesystem, "/".join((path, *parts)))
