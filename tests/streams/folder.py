"""A folder of `assay init` in the hands of someone who only types what its README says."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.harness import ROOT, WAIT_S_MAX, Stream

COMMAND_S_MAX = 900.0


@dataclass
class Folder:
    """One person's folder and shell. environment: what they exported."""

    stream: Stream
    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """An `assay` of this checkout, first on the path."""
        bin_path = self.stream.directory / "bin"
        bin_path.mkdir(exist_ok=True)
        program = bin_path / "assay"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m services.cli "$@"\n')
        program.chmod(0o755)
        prefix, kept = self.stream.prefix, {n: v for n, v in os.environ.items() if not n.startswith("ASSAY_")}
        groups = {f"ASSAY_{name}GROUP": f"{prefix}{name.lower().strip('_') or 'scorer'}" for name in ("", "INTAKE_")}
        ports = {f"ASSAY_{name}HTTP_PORT": "0" for name in ("", "INTAKE_")}
        self.environment = {
            **kept,
            **groups,
            **ports,
            "PATH": f"{bin_path}:{kept['PATH']}",
            "PYTHONPATH": str(ROOT),
            "ASSAY_KAFKA_BOOTSTRAP": self.stream.bootstrap,
            "ASSAY_TOPIC_PREFIX": prefix,
            "ASSAY_PARTITIONS": str(self.stream.partitions),
            "ASSAY_REPLICATION": "1",
            "ASSAY_LOG_FORMAT": "json",
            "ASSAY_SNAPSHOT_URL": str(self.stream.directory / "snapshots"),
            **self.environment,
        }

    def commands(self) -> dict[str, str]:
        """Every command of the README, by the words that it begins with, in the order of the page."""
        lines = re.findall(r"^ {4,}(\S.*assay .*|assay .*)$", (self.path / "README.md").read_text(), re.MULTILINE)
        return {re.sub(r"^(?:\w+=\S+ )*assay (\w[\w-]*(?: [a-z]+\b(?!\.))?).*$", r"\1", line): line for line in lines}

    def sh(self, line: str, *, inside: bool = True, status: int = 0) -> str:
        """Type a line and wait for its end; what it says."""
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=self.path if inside else self.path.parent,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == status, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def begin(self, line: str, log: Path) -> "subprocess.Popen[bytes]":
        """Type a line in a terminal of its own."""
        with log.open("wb") as output:
            return subprocess.Popen(
                ["/bin/sh", "-c", f"exec env {line}"],
                cwd=self.path,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


def interrupt(process: "subprocess.Popen[bytes]") -> int:
    """Ctrl-C, and the exit status."""
    process.send_signal(signal.SIGINT)
    return process.wait(WAIT_S_MAX)


def until_started(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until intake and the scorer say where they serve their metrics; as long as any command may take."""
    deadline = time.monotonic() + COMMAND_S_MAX
    while log.read_text().count('"http": "') < len(("intake", "scorer")):
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)
