"""One Kafka process: its directory, its settings, its start, its end."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
LOG4J_CONFIG = Path(__file__).with_name("log4j2.properties")
EXIT_TIMEOUT_S = 20.0  # above the guard's own bound


@dataclass(frozen=True, slots=True)
class JavaCommand:
    """How to run a class of Kafka's."""

    java: Path
    class_path: str
    heap_mb: int

    def line(self, main_class: str, *arguments: str, log_file: Path, short: bool = False) -> list[str]:
        """Command line. short: for a run of a second, which does not pay for the optimising compiler."""
        return [
            str(self.java),
            *(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if short else []),
            f"-Xmx{self.heap_mb}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dassay.log={log_file}",
            f"-Dlog4j2.configurationFile={LOG4J_CONFIG}",
            "-cp",
            self.class_path,
            main_class,
            *arguments,
        ]


def in_use(directory: Path) -> bool:
    """Whether a Kafka runs on this node's directory: it holds a lock on a file there."""
    lock_file = directory / "log" / ".lock"
    if not lock_file.exists():
        return False
    with lock_file.open("ab") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@dataclass(slots=True)
class Node:
    """One combined broker and controller.

    index: from 0; Kafka's node.id is one more. temporary: its directory goes when the parent dies.
    """

    index: int
    port: int
    controller_port: int
    directory: Path
    log_file: Path
    temporary: bool
    pid: int | None = field(default=None, init=False)
    _guard: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def properties_file(self) -> Path:
        """Kafka's settings."""
        return self.directory / "server.properties"

    @property
    def formatted(self) -> bool:
        """Whether the directory has been used before."""
        return (self.directory / "log" / "meta.properties").exists()

    def format_command(self, java: JavaCommand, cluster_id: str, scram: Mapping[str, str]) -> list[str]:
        """Command line that prepares an empty directory. scram: passwords by user."""
        # one argument with =, since an id may begin with a dash
        arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(self.properties_file)]
        for user, password in scram.items():
            arguments += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        return java.line("kafka.tools.StorageTool", *arguments, log_file=self.log_file, short=True)

    def start(self, java: JavaCommand) -> None:
        """Start Java under its guard. Does not wait until it is ready."""
        removable = str(self.directory) if self.temporary else ""
        command = java.line("kafka.Kafka", str(self.properties_file), log_file=self.log_file)
        with self.log_file.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(self.log_file), removable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline() or 0) or None

    @property
    def running(self) -> bool:
        """Whether Java runs."""
        return self._guard is not None and self._guard.poll() is None

    def ask_to_stop(self) -> None:
        """Ask for a clean stop. Does not wait."""
        if self._guard is not None and self._guard.stdin is not None and self.running:
            try:
                self._guard.stdin.write(b"s")
                self._guard.stdin.flush()
            except BrokenPipeError:
                pass  # it has just ended on its own

    def kill(self) -> None:
        """SIGKILL, as in a crash, and wait for the end."""
        if self.running and self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Wait for the end, by force when it takes too long."""
        if self._guard is None:
            return
        try:
            self._guard.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            if self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
            self._guard.kill()
            self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self._guard = None
        self.pid = None
