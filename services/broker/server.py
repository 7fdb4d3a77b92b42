"""The embedded Kafka: one or three nodes as child processes, with a beginning and an end."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from services.broker.config import HOST, Listener, free_port, new_cluster_id, port_is_free, server_properties
from services.broker.jars import class_path
from services.broker.java import find_java
from services.broker.node import JavaCommand, Node, in_use
from services.broker.ready import brokers_seen
from services.errors import AssayError

FORMAT_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 90.0
POLL_INTERVAL_S = 0.05


class BrokerError(AssayError):
    """The embedded Kafka did not start."""


class EmbeddedKafka:
    """A real Apache Kafka (KRaft) on loopback, for demo, tests and trying out.

    nodes: 1, or 3 with replication 3 and two in-sync replicas. data_dir: kept; None is a temporary one, removed at the
    end. port: of the first node, the others follow; 0 takes free ones. heap_mb: of each node. properties: broker
    settings on top of ours. listeners: more of them, with protection; scram: passwords of their users, by name. console: shows
    the progress of the first download. quick: starts in less processor time and never gets as fast, for tests.

    >>> with EmbeddedKafka() as kafka:  # doctest: +SKIP
    ...     print(kafka.bootstrap)
    """

    def __init__(
        self,
        nodes: int = 1,
        data_dir: Path | None = None,
        port: int = 0,
        heap_mb: int = 512,
        log_file: Path | None = None,
        properties: Mapping[str, str] | None = None,
        listeners: Sequence[Listener] = (),
        scram: Mapping[str, str] | None = None,
        console: Console | None = None,
        quick: bool = False,
    ) -> None:
        if nodes not in (1, 3):
            raise BrokerError(f"The embedded Kafka runs with 1 node or with 3, not with {nodes}.")
        self._count = nodes
        self._data_dir = data_dir
        self._port = port
        self._heap_mb = heap_mb
        self._log_file = log_file
        self._extra = dict(properties or {})
        self._listeners = tuple(listeners)
        self._scram = dict(scram or {})
        self._console = console
        self._quick = quick
        self._nodes: list[Node] = []
        self._java: JavaCommand | None = None

    @property
    def bootstrap(self) -> str:
        """Addresses to connect to: host:port, comma separated."""
        return ",".join(f"{HOST}:{node.port}" for node in self._nodes)

    @property
    def log_files(self) -> list[Path]:
        """Each node's log."""
        return [node.log_file for node in self._nodes]

    @property
    def running(self) -> bool:
        """Whether every node runs."""
        return bool(self._nodes) and all(node.running for node in self._nodes)

    def start(self) -> None:
        """Start and wait until every node answers. Raises BrokerError, JarError or JavaError; then nothing runs."""
        self._java = JavaCommand(find_java(), class_path(console=self._console), self._heap_mb, self._quick)
        self._nodes = self._make_nodes()
        try:
            self._format(self._java)
            for node in self._nodes:
                node.start(self._java)
            self._wait_until_ready(self._nodes)
        except BrokerError:
            self._end_all()  # a temporary directory stays: the sentence names the log in it
            raise
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop cleanly (SIGTERM, after a while SIGKILL) and remove a temporary directory. Harmless when not running."""
        directories = {node.directory.parent for node in self._nodes if node.temporary}
        self._end_all()
        for directory in directories:
            shutil.rmtree(directory)
        self._nodes = []

    def kill_node(self, index: int) -> None:
        """SIGKILL the node (from 0), as in a crash; its data stays."""
        self._nodes[index].kill()

    def start_node(self, index: int) -> None:
        """Start a killed node again, on its old port and data, and wait until it answers."""
        if self._java is None:
            raise BrokerError("The embedded Kafka has not been started.")
        if not self._nodes[index].running:
            self._nodes[index].start(self._java)
        self._wait_until_ready([self._nodes[index]])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_nodes(self) -> list[Node]:
        for port in range(self._port, self._port + self._count) if self._port else ():
            if not port_is_free(port):
                raise BrokerError(f"Port {port} is in use by another program: stop it, or choose another port.")
        temporary = self._data_dir is None
        root = (self._data_dir or Path(tempfile.mkdtemp(prefix="assay-kafka-"))).absolute()
        kept = len(list(root.glob("node-*")))
        if kept not in (0, self._count):
            raise BrokerError(
                f"{root} holds the data of {kept} nodes, not of {self._count}: choose another data directory."
            )
        nodes = []
        for index in range(self._count):
            directory = root / f"node-{index + 1}"
            if in_use(directory):
                raise BrokerError(f"{directory} is in use by another Kafka: stop it, or choose another data directory.")
            directory.mkdir(parents=True, exist_ok=True)
            port = self._port + index if self._port else free_port()
            nodes.append(Node(index, port, free_port(), directory, self._node_log(directory, index), temporary))
        for node in nodes:
            node.properties_file.write_text(server_properties(node, nodes, self._extra, self._listeners))
        return nodes

    def _node_log(self, directory: Path, index: int) -> Path:
        if self._log_file is None:
            return directory / "kafka.log"
        log_file = self._log_file.absolute()
        log_file.parent.mkdir(parents=True, exist_ok=True)
        return log_file if self._count == 1 else log_file.with_stem(f"{log_file.stem}-{index + 1}")

    def _format(self, java: JavaCommand) -> None:
        """Prepare the directories that are new, side by side."""
        cluster_id = new_cluster_id()
        running = []
        for node in self._nodes:
            if not node.formatted:
                with node.log_file.open("ab") as log:
                    command = node.format_command(java, cluster_id, self._scram)
                    running.append((node, subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)))
        deadline_s = time.monotonic() + FORMAT_TIMEOUT_S
        try:
            for node, process in running:
                if process.wait(max(0.0, deadline_s - time.monotonic())) != 0:
                    raise BrokerError(f"Kafka could not prepare its directory {node.directory}: see {node.log_file}.")
        except subprocess.TimeoutExpired:
            raise BrokerError(
                f"Kafka did not prepare its directories within {FORMAT_TIMEOUT_S:.0f} s: see {self._nodes[0].log_file}."
            ) from None
        finally:
            for _, process in running:
                process.kill()
                process.wait()

    def _wait_until_ready(self, nodes: list[Node]) -> None:
        """Until each of these nodes answers and knows of every node that runs."""
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        for node in nodes:
            while True:
                if not node.running:
                    raise BrokerError(f"Kafka ended while it started: see {node.log_file}.")
                if brokers_seen(node.port) >= sum(other.running for other in self._nodes):
                    break
                if time.monotonic() > deadline_s:
                    raise BrokerError(f"Kafka was not ready within {READY_TIMEOUT_S:.0f} s: see {node.log_file}.")
                time.sleep(POLL_INTERVAL_S)

    def _end_all(self) -> None:
        for node in self._nodes:
            node.ask_to_stop()
        for node in self._nodes:
            node.wait()
