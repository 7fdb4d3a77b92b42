"""Children end: when asked, when they do not listen, and when their parent is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.running.children import LIBC, Child

ON_LINUX = pytest.mark.skipif(LIBC is None, reason="the kernel tells children of their parent's death on Linux only")
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]
PARENT = """
import os, sys, time
from pathlib import Path
from services.cli.running.children import Child
child = Child.start("x", ["/bin/sh", "-c", "echo up; exec sleep 600"], os.environ, guarded={guarded})
os.write(1, b"%d\\n" % child.process.pid)  # whole, beside the child's own line
time.sleep(600)
"""


def await_line(log: Path) -> None:
    """Until the child has written its first line."""
    while not log.exists() or not log.read_text():
        os.sched_yield()


def test_a_child_is_asked_and_ends(tmp_path: Path) -> None:
    """128 + 15: SIGTERM, which it did not handle."""
    log = tmp_path / "log"
    child = Child.start("x", SLEEP, os.environ, log)
    await_line(log)
    assert child.status is None
    assert child.end(30) == 128 + signal.SIGTERM
    assert child.end(30) == 128 + signal.SIGTERM


def test_a_child_that_does_not_listen_is_forced(tmp_path: Path) -> None:
    """128 + 9: SIGKILL."""
    log = tmp_path / "log"
    child = Child.start("x", DEAF, os.environ, log)
    await_line(log)
    assert child.end(0.2) == 128 + signal.SIGKILL


def test_the_last_line_of_a_childs_log_is_its_last_words(tmp_path: Path) -> None:
    """For a sentence about its end."""
    script = "import sys; print('first', flush=True); sys.exit('assay: no bundle')"
    child = Child.start("x", [sys.executable, "-c", script], os.environ, tmp_path / "log")
    child.process.wait(30)
    assert child.status == 1
    assert child.last_words() == "assay: no bundle"


@pytest.mark.parametrize("guarded", [pytest.param(False, marks=ON_LINUX), True])
def test_a_child_does_not_outlive_a_parent_that_is_killed(guarded: bool) -> None:
    """By the kernel, or by a shell on a pipe where the kernel does not help."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(guarded=guarded)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    try:
        lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
    finally:
        parent.kill()
        parent.wait(30)
    (pid,) = lines - {"up"}
    assert pid.isdigit()
    # the child, and a guarding shell, hold the pipe's other end: it closes when the last of them has ended
    assert parent.stdout.read() == ""
    parent.stdout.close()
