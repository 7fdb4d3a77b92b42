"""Where files are kept: a directory, or any store that fsspec knows by URL. A file is there whole or not at all."""

import contextlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from models import durable
from models.installation import install_command
from services.errors import SettingsError
from services.settings.secrets import shown_url, without_secrets

Fill = Callable[[BinaryIO], None]


class Storage(Protocol):
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


PRIVATE, SHARED = 0o600, 0o666
"""Modes of files, before the umask: for their writer alone, and for others who may read the folder."""


class Directory:
    """On this machine. Written under a temporary name, flushed to disk, renamed."""

    def __init__(self, path: Path, mode: int = PRIVATE) -> None:
        self._path, self._mode = path, mode

    def names(self) -> list[str]:
        """Names of the files; none where the folder does not exist."""
        try:
            return os.listdir(self._path)
        except FileNotFoundError:
            return []

    def write(self, name: str, fill: Fill) -> None:
        """Make or replace a file of what `fill` writes."""
        durable.write_file(self._path / name, fill, self._mode)

    def create(self, name: str, content: bytes) -> None:
        """Make a file that is not there yet, whole; of several writers one succeeds. Raises FileExistsError for the others."""
        durable.create_file(self._path / name, content, self._mode)

    def open(self, name: str) -> BinaryIO:
        """A file to read from; a link is refused, since what it points to is not ours."""
        return os.fdopen(os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")

    def delete(self, name: str) -> None:
        """Remove a file, if it is there, and what a kill left of it under temporary names, with the same content."""
        if not self._path.is_dir():
            return
        for path in self._path.iterdir():
            left = path.name.endswith(".tmp") and path.name.startswith((f".{name}.", f"{name}."))
            if left or path.name == name:
                path.unlink(missing_ok=True)
        durable.sync_directory(self._path)


class Store:
    """Behind a URL. Object stores show an object when it is whole; what others leave half is found by its checksum."""

    def __init__(self, filesystem: Any, path: str, url: str = "") -> None:
        """url: with the secrets that no error message may repeat."""
        self._filesystem, self._path, self._url = filesystem, path.rstrip("/"), url

    def names(self) -> list[str]:
        """Names of the files; none where the folder does not exist."""
        found: list[str] = self._do(self._listed)
        return found

    def write(self, name: str, fill: Fill) -> None:
        """Make or replace a file of what `fill` writes."""

        def put() -> None:
            self._filesystem.makedirs(self._path, exist_ok=True)
            try:
                with self._filesystem.open(f"{self._path}/{name}", "wb") as file:
                    fill(file)
            except BaseException:  # to leave the file closes it, and so puts up what there is of it
                with contextlib.suppress(Exception):
                    self._filesystem.rm_file(f"{self._path}/{name}")
                raise

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
        try:  # not `exists`: many a driver answers no to that where the store does not answer at all
            return [str(path).rpartition("/")[2] for path in self._filesystem.ls(self._path, detail=False)]
        except FileNotFoundError:
            return []

    def _do(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (FileNotFoundError, FileExistsError) as error:
            raise type(error)(without_secrets(str(error), self._url)) from None
        except Exception as error:  # each store has errors of its own kinds
            raise OSError(f"{type(error).__name__}: {without_secrets(str(error), self._url)}") from None


def open_storage(url: str, *parts: str, setting: str = "ASSAY_SNAPSHOT_URL", mode: int = PRIVATE) -> Storage:
    """The folder `parts` below a directory or URL. Raises SettingsError where nothing here can open it.

    setting: where the URL comes from, for the sentence. mode: of new files on this machine.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return Directory(Path(rest if separator else url, *parts), mode)
    try:
        filesystem, path = importlib.import_module("fsspec").url_to_fs(url)
    except ModuleNotFoundError:
        raise SettingsError(
            f"{setting}={shown_url(url)} needs fsspec: {install_command('store')}, or name a directory."
        ) from None
    except (ImportError, ValueError) as error:
        why = without_secrets(str(error), url)
        raise SettingsError(f"{setting}={shown_url(url)} cannot be opened ({why}): install what it needs.") from None
    return Store(filesystem, "/".join((path, *parts)), url)
