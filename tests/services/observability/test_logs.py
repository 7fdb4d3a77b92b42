"""What reaches the log: events of the catalogue, repeated faults only so often."""

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.observability.events import EVENTS
from services.observability.log_filters import FAULTS_MAX, REPEATS_MAX, WINDOW_S, RepeatFilter
from services.observability.metrics import Metrics

ROOT = Path(__file__).parents[3]
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def events() -> set[str]:
    """The first argument of every call of a logger named `log` or `_log` in the source."""
    found = set()
    for path in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                logger = node.func.value
                name = logger.id if isinstance(logger, ast.Name) else getattr(logger, "attr", "")
                if name in ("log", "_log"):
                    found.add(ast.literal_eval(node.args[0]))
    return found


def ours(**event: object) -> logging.LogRecord:
    """A structlog line on its way to the handler."""
    return logging.LogRecord("services", logging.WARNING, "", 0, dict(event), (), None)  # type: ignore[arg-type]


def test_every_event_that_is_logged_is_in_the_catalogue_and_no_other() -> None:
    """A reader of the log finds what a line means; a name that is no longer logged is taken out."""
    assert events() == set(EVENTS)


def test_a_repeated_fault_is_held_back_and_counted_and_said_afterwards() -> None:
    """The first ten of a minute pass; the next minute's first line carries the number of the rest."""
    now_s = [0.0]
    metrics = Metrics()
    repeats = RepeatFilter(metrics, lambda: now_s[0])
    passed = [repeats.filter(ours(event="partition.failed", partition=1, error="TimeoutError")) for _ in range(25)]
    assert passed == [True] * REPEATS_MAX + [False] * (25 - REPEATS_MAX)
    assert metrics.registry.get_sample_value("assay_log_lines_held_back_total") == 25 - REPEATS_MAX
    now_s[0] = WINDOW_S
    line = ours(event="partition.failed", partition=1, error="TimeoutError")
    assert repeats.filter(line)
    assert line.msg["held_back"] == 25 - REPEATS_MAX  # type: ignore[index]


def test_another_partition_another_error_and_information_are_not_held_back() -> None:
    """Only the same fault of the same partition is a repetition."""
    repeats = RepeatFilter(Metrics(), lambda: 0.0)
    for _ in range(REPEATS_MAX):
        assert repeats.filter(ours(event="partition.failed", partition=1, error="TimeoutError"))
    assert not repeats.filter(ours(event="partition.failed", partition=1, error="TimeoutError"))
    assert repeats.filter(ours(event="partition.failed", partition=2, error="TimeoutError"))
    assert repeats.filter(ours(event="partition.failed", partition=1, error="KafkaError"))
    news = logging.LogRecord("services", logging.INFO, "", 0, {"event": "group.assigned"}, (), None)  # type: ignore[arg-type]
    assert all(repeats.filter(news) for _ in range(5 * REPEATS_MAX))


def test_a_librarys_lines_are_told_apart_by_their_template() -> None:
    """Its arguments differ each time: a node, a port."""
    now_s = [0.0]
    repeats = RepeatFilter(Metrics(), lambda: now_s[0])

    def line(node: int) -> logging.LogRecord:
        return logging.LogRecord("aiokafka", logging.ERROR, "", 0, "Unable to connect to node %s", (node,), None)

    assert sum(repeats.filter(line(node)) for node in range(100)) == REPEATS_MAX
    now_s[0] = WINDOW_S
    after = line(7)
    assert repeats.filter(after)
    assert after.getMessage() == "Unable to connect to node 7 (90 more of these were held back)"


def test_the_faults_that_are_remembered_are_bounded() -> None:
    """Whatever a library puts into its templates."""
    repeats = RepeatFilter(Metrics(), lambda: 0.0)
    for number in range(3 * FAULTS_MAX):
        assert repeats.filter(ours(event="x", error=str(number)))
    assert len(repeats._seen) <= FAULTS_MAX


SHOWS = """
import asyncio, logging, sys
from services.observability.logs import configure
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings

configure(RuntimeSettings(log_format=sys.argv[1]), Metrics())

def connect(password):
    record = {"card_id": "4111111111111111"}
    raise ValueError(f"payload {record} of {password}")

try:
    connect("hunter2-secret")
except ValueError:
    logging.getLogger("aiokafka").exception("Unexpected error in sender")

async def forgotten():
    asyncio.get_running_loop().create_task(failing())
    await asyncio.sleep(0.01)

async def failing():
    connect("hunter2-secret")

asyncio.run(forgotten())
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_exception_of_a_library_is_its_type_and_place_and_no_value(form: str) -> None:
    """Neither the words that it was raised with, nor variables, nor a task that is not waited for."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", SHOWS, form], capture_output=True, text=True, env=environment, check=True
    )
    assert said.stderr.count("ValueError") == 2, said.stderr
    assert "Unexpected error in sender" in said.stderr
    assert "raised_at" in said.stderr
    for value in ("hunter2", "4111111111111111", "payload"):
        assert value not in said.stderr + said.stdout
