"""An earlier version's topics, snapshots, settings and bundle, taken over by this one, and back: with both installed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.services.harness import ROOT

PREVIOUS = os.environ.get("PREVIOUS_ASSAY", "")
BUNDLE = ROOT / "tests" / "histories" / "0.1" / "bundle"
PAYMENTS, RATE = 3_000, 1_000
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

    def score(self, seed: int, scored: int) -> None:
        """Send payments, and wait until all that were ever sent are scored."""
        with self.serving():
            self.run("simulate", "--count", str(PAYMENTS), "--rate", str(RATE), "--seed", str(seed), "--json")
            until = time.monotonic() + DONE_S_MAX
            while (verdict := self.verdict("verify"))["inputs"] < scored or verdict["lag"]:
                assert time.monotonic() < until, (verdict, self.said())
                time.sleep(1.0)

    def verdict(self, command: str) -> dict[str, Any]:
        """The JSON line of `verify` or `replay`, whatever the exit status."""
        done = subprocess.run(
            [self.python, "-m", "services.cli", command, "--json"],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=DONE_S_MAX, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr[-2000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(
    not PREVIOUS, reason="set PREVIOUS_ASSAY to the folder of an earlier version's checkout with its .venv"
)
def test_an_earlier_version_is_upgraded_and_taken_back(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    """Every payment is scored once over both changes, and this version finds every bit of what the earlier one scored."""
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

    earlier.run("topics", "create")
    earlier.score(seed=1, scored=PAYMENTS)
    now.run("topics", "create")
    now.score(seed=2, scored=2 * PAYMENTS)
    assert now.run("cases", "list", "--json")
    earlier.score(seed=3, scored=3 * PAYMENTS)
    now.score(seed=4, scored=4 * PAYMENTS)

    verdict, replayed = now.verdict("verify"), now.verdict("replay")
    assert (verdict["missing"], verdict["duplicate"], verdict["scores"]) == (0, 0, 4 * PAYMENTS), verdict
    assert (replayed["differing"], replayed["not_emitted"], replayed["not_replayed"]) == (0, 0, 0), replayed
