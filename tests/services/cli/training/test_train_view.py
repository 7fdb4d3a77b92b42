"""How long a training has still to go: in words, and in a line now and then where there is no terminal."""

import pytest

from models.training.progress import Outlook
from services.cli.training.train_view import LINE_S, _with_lines, in_words


def test_what_is_left_is_said_in_minutes_and_at_the_end_in_seconds() -> None:
    """And not at all while no one can tell."""
    assert [in_words(left_s) for left_s in (None, 601.0, 40.0)] == ["", ", about 10 min left", ", about 40 s left"]


def test_without_a_terminal_a_line_comes_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Not for each epoch; nothing of a run that ends before."""
    now = [0.0]
    report = _with_lines(Outlook({"fit": 10.0}, lambda: now[0]), lambda: now[0])
    for epoch in range(5):
        now[0] = epoch * LINE_S * 0.6
        report("fit", epoch, 5)
    said = capsys.readouterr().err.splitlines()
    assert said == ["fit 2/5, 40% of the whole run, about 54 s left", "fit 4/5, 80% of the whole run, about 18 s left"]
