"""One Kafka process: its directory, its settings, its start, its end."""

import fcntl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.broker.guarded import Guarded

LOG4J_CONFIG = Path(__file__).with_name("log4j2.properties")


@dataclass(frozen=True, slots=True)
class JavaCommand:
    """How to run a class of Kafka's."""

    java: Path
    class_path: str
    heap_mb: int
    quick: bool = False
    """For a broker of little load: no optimising compiler and one thread of garbage collection, whose time others need more."""

    def line(self, main_class: str, *arguments: str, log_file: Path, short: bool = False) -> list[str]:
        """Command line. short: for a run of a second, which does not pay for the optimising compiler."""
        return [
            str(self.java),
            *(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if short or self.quick else []),
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
class Node(Guarded):
    """One combined broker and controller.

    index: from 0; Kafka's node.id is one more. temporary: its directory goes when the parent dies.
    """

    index: int
    port: int
    controller_port: int
    directory: Path
    log_file: Path
    temporary: bool

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
        command = java.line("kafka.Kafka", str(self.properties_file), log_file=self.log_file)
        self.start_guarded(command, self.log_file, self.directory if self.temporary else None)
