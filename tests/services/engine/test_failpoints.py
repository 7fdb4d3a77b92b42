"""Failpoints: none without the variable, and every name is met in the code."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from services.engine import delivery, failpoints, restore, worker
from services.engine.failpoints import Point
from services.errors import SettingsError
from tests.services.harness import ROOT


def reached() -> set[str]:
    """Every point that the source names in a call of `failpoint`."""
    calls = (
        node
        for path in Path(ROOT / "services").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint"
    )
    return {argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)}


def test_without_the_variable_a_point_is_a_function_that_does_nothing() -> None:
    """No test of a variable, no counter: an empty function, bound once at import."""

    def nothing(point: str) -> None:
        pass

    assert failpoints.failpoint is failpoints._nothing
    assert failpoints._nothing.__code__.co_code == nothing.__code__.co_code
    assert all(module.failpoint is failpoints._nothing for module in (delivery, restore, worker))
    assert not any(failpoints.is_armed(point) for point in get_args(Point))


def test_every_named_point_is_met_and_every_point_met_has_a_name() -> None:
    """A typing mistake would be a test that kills no one."""
    assert reached() == set(get_args(Point))


@pytest.mark.parametrize("setting", ["after_lunch", "after_poll:x", ":3"])
def test_a_point_that_does_not_exist_is_refused(setting: str) -> None:
    """In a sentence."""
    with pytest.raises(SettingsError, match="ASSAY_FAILPOINT"):
        failpoints._killer(setting)


def test_the_process_ends_the_nth_time_it_gets_there() -> None:
    """As kill -9 would end it: nothing is flushed, nothing is said."""
    script = "from services.engine.failpoints import failpoint\nfor n in range(5): print(n, flush=1); failpoint('after_poll')"
    environment = {"ASSAY_FAILPOINT": "after_poll:3"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (-9, ["0", "1", "2"])
