"""When an app stands still, by hand."""

from typing import Any

import pytest
from aiokafka import TopicPartition

from services.faust_runtime.watch import Look, Watch

TP = TopicPartition("alerts", 0)


def look(**changes: Any) -> Look:
    """A quiet app at the end of its partition."""
    fields: dict[str, Any] = {"started": True, "positions": {TP: 5}, "ends": {TP: 5}, "handled": 5, "unfinished": False}
    return Look(**{**fields, **changes})


@pytest.mark.parametrize(
    "stuck",
    [
        {"ends": {TP: 9}},
        {"unfinished": True},
        {"started": False},
        {"positions": {TP: None}},
        {"ends": {}},
    ],
    ids=["not fetching", "hanging in an event", "not starting", "lost its place", "no broker"],
)
def test_what_waits_without_moving_is_stuck_since_it_last_moved(stuck: dict[str, Any]) -> None:
    """Whatever it is that does not move."""
    watch = Watch(since_s=100.0)
    assert watch.look(look(**stuck), 101.0) == 0.0
    assert watch.look(look(**stuck), 131.0) == 30.0
    assert watch.look(look(**{**stuck, "handled": 6}), 132.0) == 0.0


def test_nothing_to_do_is_no_standstill() -> None:
    """A quiet night, and a process that stands by without partitions."""
    watch = Watch(since_s=0.0)
    for at in (1.0, 1000.0, 2000.0):
        assert watch.look(look(), at) == 0.0
    assert watch.look(look(positions={}, ends={}), 9000.0) == 0.0
