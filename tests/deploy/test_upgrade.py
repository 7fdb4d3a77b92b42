"""An earlier version's topics, snapshots, settings and bundle, taken over by this one, and back: with both installed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from services.simulator.payloads import Payload, payloads
from tests.services.harness import ROOT, Stream

PREVIOUS = os.environ.get("PREVIOUS_ASSAY", "")
BUNDLE = ROOT / "tests" / "histories" / "0.1" / "bundle"
PAYMENTS = 3_000
"""In each turn of a version: in order of their time over all turns, since versions differ in what a late payment means."""
SERVICES = ("services.scorer", "services.cases")
DONE_S_MAX = 240.0


class Version:
    """One installation's programs, on the same brokers and files as the other's."""

    def __init__(self, python: str, environment: dict[str, str], folder: Path) -> None:
        self.python, self.environment, self.folder = python, environment, folder

    def run(self, *arguments: str) -> str:
        """What a command says, which must end well."""
        done = subprocess.run(
            [self.python, "-m", "services.cli", *arguments],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=DONE_S_MAX, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Scorer and case service, ended as an operator ends them."""
        log = (self.folder / "services.log").open("a")
        running = [
            subprocess.Popen([self.python, "-m", name], env=self.environment, cwd=self.folder, stdout=log, stderr=log)
            for name in SERVICES
        ]
        try:
            yield
            assert [process.poll() for process in running] == [None] * len(running), self.said()
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            ended = [process.wait(60.0) for process in running]
            log.close()
        assert ended == [0] * len(running), self.said()

    def said(self) -> str:
        """The last lines of both services."""
        return (self.folder / "services.log").read_text()[-4000:]

    def score(self, stream: Stream, payments: Iterator[Payload], scored: int) -> None:
        """Send the next payments, and wait until all that were ever sent are scored."""
        with self.serving():
            sent = list(islice(payments, PAYMENTS))
            asyncio.run(stream.send([payment.value for payment in sent], [payment.key for payment in sent]))
            until = time.monotonic() + DONE_S_MAX
            while (verdict := self.verdict("verify")).get("inputs", 0) < scored or verdict["lag"]:
                assert time.monotonic() < until, (verdict, self.said())
                time.sleep(1.0)

    def verdict(self, command: str) -> dict[str, Any]:
        """The JSON line of `verify` or `replay`, whatever the exit status; nothing before the first commit."""
        done = subprocess.run(
            [self.python, "-m", "services.cli", command, "--json"],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=DONE_S_MAX, check=False,
        )  # fmt: skip
        assert done.stdout or "has committed nothing" in done.stderr, done.stderr[-2000:]
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        return found


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(
    not PREVIOUS, reason="set PREVIOUS_ASSAY to the folder of an earlier version's checkout with its .venv"
)
def test_an_earlier_version_is_upgraded_and_taken_back(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    """Every payment is scored once over all changes, and this version finds every bit that either scored."""
    common = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")} | {
        "ASSAY_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "ASSAY_TOPIC_PREFIX": topic_prefix,
        "ASSAY_GROUP": f"{topic_prefix}scorer",
        "ASSAY_BUNDLE": str(BUNDLE),
        "ASSAY_BUNDLE_PUBLIC_KEYS": str(BUNDLE.parent / "bundle.pub"),
        "ASSAY_SNAPSHOT_URL": str(tmp_path / "snapshots"),
        "ASSAY_SNAPSHOT_INTERVAL_S": "2",
        "ASSAY_HTTP_PORT": "0",
        "ASSAY_CASES_HTTP_PORT": "0",
    }
    earlier = Version(f"{PREVIOUS}/.venv/bin/python", common | {"PYTHONPATH": PREVIOUS}, tmp_path)
    now = Version(sys.executable, common | {"PYTHONPATH": str(ROOT)}, tmp_path)

    stream = Stream(kafka_bootstrap, topic_prefix, tmp_path)
    payments = payloads(generate(SimulationSettings(seed=1, customers=300)))

    earlier.run("topics", "create")
    for turn, version in enumerate((earlier, now, earlier, now), start=1):
        if version is now:
            now.run("topics", "create")
        version.score(stream, payments, scored=turn * PAYMENTS)

    assert now.run("cases", "list", "--json")
    verdict, replayed = now.verdict("verify"), now.verdict("replay")
    assert (verdict["missing"], verdict["duplicate"], verdict["scores"]) == (0, 0, 4 * PAYMENTS), verdict
    assert (replayed["differing"], replayed["not_emitted"], replayed["not_replayed"]) == (0, 0, 0), replayed
