"""Continuous integration runs every test once."""

import itertools
import re
from pathlib import Path

from _pytest.mark.expression import Expression

ROOT = Path(__file__).parents[2]
MARKERS = ("broker", "slow", "alone", "train")


def holds(selection: Expression, markers: set[str]) -> bool:
    """Whether `pytest -m` would run a test with these markers."""
    return selection.evaluate(lambda name, /, **_: name in markers)


def test_each_test_is_in_one_selection_of_continuous_integration() -> None:
    """Whatever its markers are: with coverage, without, slow, slow and alone."""
    makefile, script = (
        (ROOT / "Makefile").read_text(encoding="utf-8"),
        (ROOT / ".ci" / "run").read_text(encoding="utf-8"),
    )
    covered = re.search(r"^COVERED \?= (.*)$", makefile, re.MULTILINE)
    tested = re.search(r'make test TESTED="(.*)"', script)
    assert covered is not None
    assert tested is not None
    slow = re.findall(r'-m "(slow.*)"', makefile)
    assert len(slow) == 2
    assert {"make coverage", "make test-slow"} <= set(re.findall(r"make [a-z-]+", script))
    selections = [Expression.compile(text) for text in (covered[1], tested[1], *slow)]
    for has in itertools.product([False, True], repeat=len(MARKERS)):
        markers = {name for name, given in zip(MARKERS, has, strict=True) if given}
        if "alone" in markers and "slow" not in markers:
            continue  # alone is slow: pyproject.toml
        assert sum(holds(selection, markers) for selection in selections) == 1, markers
