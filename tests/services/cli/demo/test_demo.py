"""The demo from start to end, with the committed bundle."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
END_S_MAX = 240
DEMO = [sys.executable, "-m", "services.cli", "demo"]


def environment(**changes: str) -> dict[str, str]:
    """Ours, with the checkout's own packages, and the bundle and its signer's key by their whole paths."""
    ours = {
        "PYTHONPATH": str(ROOT),
        "ASSAY_BUNDLE": str(ROOT / "deploy" / "bundles" / "fraud"),
        "ASSAY_BUNDLE_PUBLIC_KEYS": str(ROOT / "deploy" / "keys" / "demo.pub"),
    }
    return {**ours, **os.environ, **changes}


def start(directory: Path, *options: str, **changes: str) -> "subprocess.Popen[str]":
    """A demo in a directory of its own."""
    command = [*DEMO, *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=directory, env=environment(**changes), stdout=pipe, stderr=pipe, text=True)


def await_stream(demo: "subprocess.Popen[str]") -> None:
    """Until payments stream: the demo then tells its addresses."""
    assert demo.stderr is not None
    told = []
    for line in demo.stderr:
        told.append(line)
        if line.startswith("streaming"):
            return
    pytest.fail(f"the demo ended early: {''.join(told)}")


def descendants(pid: int) -> dict[int, str]:
    """Every process below `pid`, with its command line."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        below = {int(row[0]): row[2] for row in rows if int(row[1]) in parents}
        found |= below
        parents = set(below)
    return found


def is_running(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_short_demo_scores_everything_exactly_once_and_prints_one_line(tmp_path: Path, kafka_bootstrap: str) -> None:
    """On a cluster of one's own, by ASSAY_KAFKA_BOOTSTRAP; with --json nothing else is printed."""
    demo = start(tmp_path, "--duration", "5", "--rate", "500", "--json", ASSAY_KAFKA_BOOTSTRAP=kafka_bootstrap)
    out, err = demo.communicate(timeout=END_S_MAX)
    assert demo.returncode == 0, err
    assert err == ""
    assert out.count("\n") == 1
    outcome = json.loads(out)
    assert outcome["sent"] == 2500
    assert outcome["scored"] + outcome["dead_letters"] == 2500
    assert outcome["dead_letters"] == outcome["bad_sent"]
    damage = ("missing", "duplicate", "out_of_order", "inconsistent", "hanging")
    assert {outcome[name] for name in damage} == {0}
    assert 0 <= outcome["latency_ms_p50"] <= outcome["latency_ms_p99"]
    assert outcome["records_per_s"] > 0
    assert outcome["model"].endswith(f"@{outcome['provider']}")
    assert outcome["provider"] in ("cpu", "cuda")
    assert list((tmp_path / ".assay").iterdir()) == []


@pytest.mark.slow
@pytest.mark.broker
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    """Kafka, scorer and simulator end in order, and the temporary files go."""
    demo = start(tmp_path, "--duration", "120", "--rate", "200")
    await_stream(demo)
    below = descendants(demo.pid)
    for part in ("java", "services.scorer", "simulate"):
        assert any(part in command for command in below.values()), below
    demo.send_signal(signal.SIGINT)
    _, err = demo.communicate(timeout=END_S_MAX)
    assert demo.returncode == 130
    assert "Traceback" not in err
    assert [command for pid, command in below.items() if is_running(pid)] == []
    assert list((tmp_path / ".assay").iterdir()) == []


@pytest.mark.slow
def test_a_scorer_that_is_killed_comes_back_and_nothing_is_lost(tmp_path: Path, kafka_bootstrap: str) -> None:
    """kill -9 in the middle of the stream; the oracle finds nothing."""
    changes = {"ASSAY_KAFKA_BOOTSTRAP": kafka_bootstrap, "ASSAY_SESSION_TIMEOUT_S": "6"}
    demo = start(tmp_path, "--duration", "12", "--rate", "500", **changes)
    await_stream(demo)
    (scorer,) = (pid for pid, command in descendants(demo.pid).items() if "services.scorer" in command)
    os.kill(scorer, signal.SIGKILL)
    out, err = demo.communicate(timeout=END_S_MAX)
    assert demo.returncode == 0, err
    assert "The scorer was killed by signal 9: starting it again." in err
    assert "6,000 inputs" in out
    assert "Exactly once: nothing missing" in out


def test_a_scorer_that_cannot_start_is_one_sentence_with_its_log(tmp_path: Path, kafka_bootstrap: str) -> None:
    """The scorer's own sentence, and where its log is kept."""
    demo = start(tmp_path, "--json", ASSAY_KAFKA_BOOTSTRAP=kafka_bootstrap, ASSAY_BUNDLE="no/such/bundle")
    out, err = demo.communicate(timeout=END_S_MAX)
    assert demo.returncode == 2
    assert out == ""
    assert err.count("\n") == 1
    assert "no/such/bundle" in err
    log = tmp_path / err.rpartition("log: ")[2].strip().rstrip(")")
    assert "no/such/bundle" in log.read_text()
