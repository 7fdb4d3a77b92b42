"""A forked service is the process that `python -m` starts; where it would not be, it is started afresh."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import forked

NOWHERE = {"ASSAY_KAFKA_BOOTSTRAP": "127.0.0.1:1", "ASSAY_PARTITIONS": "none"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are services forked")


def started(path: Path, **environment: str) -> "forked.Forked | subprocess.Popen[bytes]":
    """An intake whose settings are wrong: it says so, and ends."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return forked.start("services.intake", {**inherited, **NOWHERE, **environment}, path)


@linux
def test_a_forked_service_has_its_own_environment_session_log_and_status(tmp_path: Path) -> None:
    """The same sentence and status as the process that is started afresh."""
    one, other = tmp_path / "forked", tmp_path / "afresh"
    process, afresh = started(one), started(other, PYTHONUTF8="1")
    assert isinstance(process, forked.Forked)
    assert isinstance(afresh, subprocess.Popen)
    assert process.wait(60) == afresh.wait(60) == 2
    assert one.read_text() == other.read_text()
    assert "ASSAY_PARTITIONS" in one.read_text()


@linux
def test_a_forked_service_takes_signals(tmp_path: Path) -> None:
    """It leads a session, and its end is told as Popen tells it."""
    process = started(tmp_path / "log")
    assert os.getsid(process.pid) == process.pid
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert process.poll() == -signal.SIGKILL


@linux
def test_nothing_of_assay_but_its_schemas_is_imported_before_the_fork() -> None:
    """What reads the environment or draws a secret does so in each process."""
    script = (
        "import sys; from tests.services import forked; forked._import_libraries();"
        "print(*{name for name in sys.modules if name.startswith(('services', 'models.'))})"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=forked.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
