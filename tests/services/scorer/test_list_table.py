"""The scorer's table of lists: what it takes of the topic, and that a bad record stops nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from schemas import codec
from schemas.lists import ListEntry, entry_key
from services.observability.metrics import Metrics
from services.scorer.lists import ListTable


@dataclass
class Written:
    """A record of `lists`."""

    offset: int
    key: bytes | None
    value: bytes | None
    partition: int = 0


def entry(value: str, **changes: Any) -> ListEntry:
    """An entry of `blocked`."""
    return ListEntry(list_name="blocked", field="device", kind="value", value=value, **changes)


def on(table: ListTable, *values: str) -> list[bool]:
    """Which values are on `blocked`."""
    return table.lists.contains("blocked", "device", values, np.zeros(len(values), np.int64)).tolist()


def refused(metrics: Metrics) -> float:
    """How many records were skipped."""
    return metrics.registry.get_sample_value("assay_table_records_refused_total", {"topic": "lists"}) or 0.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"\xff"),
        (b"blocked/device/value/d-2", b"{}"),
        (b"blocked/device/value/d-9", codec.write(entry("d-2"))),
        (None, codec.write(entry("d-2"))),
        (entry_key(entry("4111111111111111")), codec.write(entry("4111111111111111"))),
        (b"nothing", None),
        (None, None),
        (b"\xff/\xff/\xff/\xff", None),
        (b"blocked/device/network/no-network", None),
    ],
)
def test_a_record_that_is_no_entry_is_counted_and_stops_none_of_the_others(
    key: bytes | None, value: bytes | None
) -> None:
    """One under another entry's key would hide that one after compaction, so it is none either."""
    metrics = Metrics()
    table = ListTable(metrics)
    good = [Written(at, entry_key(entry(name)), codec.write(entry(name))) for at, name in ((0, "d-1"), (2, "d-3"))]
    table.apply([good[0], Written(1, key, value), good[1]])
    assert on(table, "d-1", "d-2", "d-3", "4111111111111111") == [True, False, True, False]
    assert (table.next_offset, refused(metrics)) == (3, 1.0)


def test_an_entry_is_taken_back_by_a_record_that_says_so_or_by_a_deletion() -> None:
    """The offset seen names the state: the same records give the same answers."""
    key = entry_key(entry("d-1"))
    records = [
        Written(0, key, codec.write(entry("d-1"))),
        Written(1, key, codec.write(entry("d-1", removed=True))),
        Written(5, key, codec.write(entry("d-1"))),
        Written(6, key, None),
    ]
    table, seen = ListTable(), []
    for record in records:
        table.apply([record])
        seen.append((table.next_offset, *on(table, "d-1")))
    assert seen == [(1, True), (2, False), (6, True), (7, False)]
