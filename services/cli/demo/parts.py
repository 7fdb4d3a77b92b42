"""What the demo is made of: what the user chose, what runs, and where."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from schemas.topics import SCORER_OUTPUTS, TRANSACTIONS
from services.cli.demo.ports import HOST
from services.cli.demo.view import Addresses
from services.cli.running.children import Child
from services.errors import AssayError
from services.settings.kafka import KafkaSettings, TopicSettings

END_S_MAX = 20.0
SELF = (sys.executable, "-m", "services.cli")

OTHERS = ("profiler", "cases", "monitor")
OTHER_PORTS = len(OTHERS) + 3
"""Behind the scorers': the other services', Prometheus', Grafana's and the console's."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose."""

    duration_s: float
    rate: float
    processes: int
    quiet: bool
    dashboards: bool = False
    keep: bool = False


@dataclass(slots=True)
class Demo:
    """What runs, and where."""

    options: Options
    directory: Path
    kafka: KafkaSettings
    topics: TopicSettings
    group: str
    port: int
    children: dict[str, Child] = field(default_factory=dict)
    restarts: int = 0

    @property
    def ports(self) -> range:
        """The scorers' health ports."""
        return range(self.port, self.port + self.options.processes)

    @property
    def others(self) -> dict[str, int]:
        """The health ports of the services beside the scorers."""
        return {name: self.ports.stop + place for place, name in enumerate(OTHERS)}

    @property
    def console_port(self) -> int:
        """Behind the ports of Prometheus and Grafana."""
        return self.ports.stop + len(OTHERS) + 2

    @property
    def console_users(self) -> Path:
        """Who may log in: the one user of this demo."""
        return self.directory / "console-users.json"

    @property
    def addresses(self) -> Addresses:
        """Where to look from outside."""
        names = (self.topics.topic_prefix + topic.name for topic in (TRANSACTIONS, *SCORER_OUTPUTS))
        metrics = tuple(f"http://{HOST}:{port}/metrics" for port in self.ports)
        return Addresses(self.kafka.bootstrap, metrics, tuple(names), str(self.directory))

    def start(self, name: str, *arguments: str) -> None:
        """Start `assay` with these arguments."""
        environment = {
            **os.environ,
            "ASSAY_DEMO_BUNDLE": "true",
            "ASSAY_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "ASSAY_KAFKA_SECURITY_PROTOCOL": self.kafka.security_protocol,
            "ASSAY_TOPIC_PREFIX": self.topics.topic_prefix,
            "ASSAY_GROUP": self.group,
            "ASSAY_HTTP_HOST": HOST,
            "ASSAY_HTTP_PORT": str(self.port),
            **{f"ASSAY_{name.upper()}_GROUP": f"{self.group}-{name}" for name in OTHERS},
            **{f"ASSAY_{name.upper()}_HTTP_PORT": str(port) for name, port in self.others.items()},
            "ASSAY_CONSOLE_HOST": HOST,
            "ASSAY_CONSOLE_PORT": str(self.console_port),
            "ASSAY_CONSOLE_USERS_FILE": str(self.console_users),
            "ASSAY_CONSOLE_DATABASE_URL": f"sqlite:///{self.directory}/console.db",
            "ASSAY_SNAPSHOT_URL": str(self.directory / "snapshots"),
        }
        self.children[name] = Child.start(name, [*SELF, *arguments], environment, self.directory / f"{name}.log")

    def start_scorer(self) -> None:
        """Start the scorer processes."""
        self.start("score", "score", "--processes", str(self.options.processes))

    def end(self, name: str) -> int:
        """End a child, if it was started; its exit status."""
        return self.children[name].end(END_S_MAX) if name in self.children else 0

    def failure(self, name: str) -> AssayError:
        """The sentence about a child that ended on its own."""
        child = self.children[name]
        words = child.last_words().removeprefix("assay: ") or "without a word"
        return AssayError(f"`assay {name}` ended with status {child.status}: {words} (log: {child.log_file})")
