"""`assay score`: a supervisor of scorer processes. The scorers here are scripts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import sys
from services.cli import app
from services.cli.running import score
score.COMMAND = (sys.executable, {script!r})
sys.argv = ["assay", "score", "--processes", "3"]
app.main()
"""

SCORER = """
import json, os, signal, sys, time
names = ("ASSAY_HTTP_PORT", "ASSAY_GROUP_INSTANCE_ID")
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"drained "), sys.exit(0)))
os.write(1, json.dumps({name: os.environ.get(name) for name in names}).encode() + b"\\n")  # whole: others write too
if os.environ["ASSAY_HTTP_PORT"] == os.environ.get("FAILS"):
    sys.exit(5)
time.sleep(600)
"""


def supervise(directory: Path, **environment: str) -> "subprocess.Popen[str]":
    """`assay score --processes 3` over the script."""
    script = directory / "scorer.py"
    script.write_text(SCORER)
    command = [sys.executable, "-c", RUN.format(script=str(script))]
    return subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)


def lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_process_has_its_own_port_and_name_and_is_drained(tmp_path: Path, number: signal.Signals) -> None:
    """Ports count up from ASSAY_HTTP_PORT; a signal reaches all of them; the end is clean."""
    supervisor = supervise(tmp_path, ASSAY_HTTP_PORT="9500", ASSAY_GROUP_INSTANCE_ID="host")
    told = [json.loads(line) for line in lines(supervisor, 3)]
    assert sorted(settings["ASSAY_HTTP_PORT"] for settings in told) == ["9500", "9501", "9502"]
    assert sorted(settings["ASSAY_GROUP_INSTANCE_ID"] for settings in told) == ["host-0", "host-1", "host-2"]
    supervisor.send_signal(number)
    rest, _ = supervisor.communicate(timeout=30)
    assert rest.count("drained") == 3
    assert supervisor.returncode == 0


def test_a_process_that_fails_ends_the_others(tmp_path: Path) -> None:
    """They are drained, and its status is ours."""
    supervisor = supervise(tmp_path, ASSAY_HTTP_PORT="9500", FAILS="9501")
    rest, _ = supervisor.communicate(timeout=30)
    assert rest.count("drained") <= 2  # one may end before it can listen
    assert supervisor.returncode == 5


def test_a_supervisor_that_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    """They are asked to end, so they drain."""
    supervisor = supervise(tmp_path, ASSAY_HTTP_PORT="9500")
    lines(supervisor, 3)
    supervisor.kill()
    rest, _ = supervisor.communicate(timeout=30)  # returns when the last holder of the pipe has ended
    assert rest.count("drained") == 3
