"""The embedded schema registry: a real Apicurio Registry as a child process, in memory, for tests and trying out."""

import shutil
import tarfile
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from services.broker.config import HOST, free_port, port_is_free
from services.broker.guarded import Guarded
from services.broker.jars import Jar, fetched
from services.broker.java import find_java
from services.errors import AssayError

LOCK_FILE = Path(__file__).with_name("registry.lock.toml")
API = "/apis/ccompat/v7"
"""Where it answers as Confluent's does."""

READY_TIMEOUT_S = 120.0
POLL_INTERVAL_S = 0.1
HEAP_MB = 256


class RegistryServerError(AssayError):
    """The embedded schema registry did not start."""


class EmbeddedRegistry(Guarded):
    """A real schema registry on loopback. port: 0 takes a free one. Its schemas end with it.

    >>> with EmbeddedRegistry() as registry:  # doctest: +SKIP
    ...     print(registry.url)
    """

    def __init__(self, port: int = 0, console: Console | None = None) -> None:
        super().__init__()
        self._port, self._console = port, console
        self._root: Path | None = None

    @property
    def url(self) -> str:
        """For ASSAY_SCHEMA_REGISTRY_URL."""
        return f"http://{HOST}:{self._port}{API}"

    @property
    def log_file(self) -> Path:
        """The registry's own log."""
        assert self._root is not None
        return self._root / "app" / "registry.log"

    def start(self) -> None:
        """Start, and wait until it answers. Raises RegistryServerError, JarError or JavaError; then nothing runs."""
        if self._port and not port_is_free(self._port):
            raise RegistryServerError(
                f"Port {self._port} is in use by another program: stop it, or choose another port."
            )
        java, archive = find_java(), fetched(locked_archive(), console=self._console)
        self._port = self._port or free_port()
        self._root = Path(tempfile.mkdtemp(prefix="assay-registry-"))
        try:
            unpacked = self._root / "app"
            with tarfile.open(archive) as tar:
                tar.extractall(unpacked, filter="data")
            program = next(unpacked.glob("*-runner.jar"))
            command = [str(java), f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
            command += [f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={self._port}", "-jar", str(program)]
            self.start_guarded(command, self.log_file, unpacked)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, and remove its directory. Harmless when not running."""
        self.ask_to_stop()
        self.wait()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not self._answers():
            if not self.running:
                last = self.log_file.read_text(errors="replace").strip().rpartition("\n")[2]
                raise RegistryServerError(f"The schema registry ended while it started: {last[:300]}")
            if time.monotonic() > deadline_s:
                raise RegistryServerError(f"The schema registry was not ready within {READY_TIMEOUT_S:.0f} s.")
            time.sleep(POLL_INTERVAL_S)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=5) as answer:  # noqa: S310  (loopback)
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def locked_archive(lock_file: Path = LOCK_FILE) -> Jar:
    """What the lock file names."""
    return Jar(
        **tomllib.loads(lock_file.read_text())["archive"],
        program="Apicurio Registry",
        way_out="set ASSAY_SCHEMA_REGISTRY_URL to a registry of your own",
        lock=lock_file.name,
    )
