"""A training that is killed goes on where it was, to the bytes that it would have had."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from models.bundle.load import load_bundle
from tests.services.cli.test_app import run_main

pytestmark = [pytest.mark.train, pytest.mark.slow]

WAIT_S = 300
RUN = ["train", "fraud", "--customers=200", "--days=20", "--epochs=4", "--no-gan", "--json"]
RUN += ["--validation-days=4", "--delay-days=2", "--test-days=4", "--accept=constant", "--accept=logistic"]


def killed_once_there_is(checkpoint: str, out: Path, *options: str) -> None:
    """Train in a process of its own, and kill it as soon as this stage was saved."""
    command = [sys.executable, "-m", "services.cli", *RUN, f"--out={out}", "--processes=2", *options]
    place = out.with_name(f"{out.name}.training") / f"{checkpoint}.checkpoint"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + WAIT_S
    while not place.exists():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    while any(_runs(other, process.pid) for other in psutil.process_iter()):  # the processes of its fits end with it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert place.exists()
    assert not out.exists()


def _runs(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def test_a_training_killed_twice_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the classifier's fit, and in one of two beside each other; as the training that has one process and is not killed.

    Without `--resume`, and as another run, it is refused.
    """
    assert run_main(monkeypatch, *RUN, f"--out={tmp_path / 'whole'}", "--processes=1") == 0
    out = tmp_path / "bundle"
    killed_once_there_is("classifier", out)
    assert run_main(monkeypatch, *RUN, f"--out={out}") == 2
    assert "did not end: --resume goes on with it" in capsys.readouterr().err
    assert run_main(monkeypatch, *RUN, f"--out={out}", "--resume", "--seed=9") == 2
    assert "is of a run with other data_digest, seed" in capsys.readouterr().err
    killed_once_there_is("without-scenario-3", out, "--resume")
    assert run_main(monkeypatch, *RUN, f"--out={out}", "--resume") == 0
    assert load_bundle(out).digest == load_bundle(tmp_path / "whole").digest
    assert not (tmp_path / "bundle.training").exists()
