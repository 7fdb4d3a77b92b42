"""The profiles of a finite history know on each day what the stream would have known then."""

import numpy as np

from models.features.history_profiles import HistoryProfiles
from models.features.profiles import Profile


def test_payments_are_known_on_the_next_day_and_frauds_after_the_delay() -> None:
    """A delay of two days: what happened on day 100 is known as fraud on day 103."""
    history = HistoryProfiles(label_delay_days=2)
    history.add(100, ["a", "b", "a"], np.array([True, False, False]))
    assert list(history.on(100)) == []
    assert history.on(101).profile("a") == Profile(100, [2], [0])
    history.add(102, ["a"], np.array([False]))
    assert history.on(102).profile("a") == Profile(100, [2], [0])
    assert history.on(103).profile("a") == Profile(102, [2, 0, 1], [1, 0, 0])
    assert history.on(103).profile("b") == Profile(100, [1], [0])
