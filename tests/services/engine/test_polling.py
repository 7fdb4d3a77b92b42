"""Polling and pacing, without a broker."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.engine import pacing
from services.engine.polling import split


def record(size_bytes: int | None) -> Any:
    """A record with a payload of that size."""
    return SimpleNamespace(value=None if size_bytes is None else b"x" * size_bytes)


@given(st.lists(st.none() | st.integers(0, 30)), st.integers(1, 40))
def test_batches_keep_every_record_in_order_and_within_the_bound(sizes: list[int | None], bytes_max: int) -> None:
    """Only a single record may be larger than the bound."""
    records = [record(size) for size in sizes]
    batches = split(records, bytes_max)
    assert [r for batch in batches for r in batch] == records
    assert all(batches)
    assert all(len(batch) == 1 or sum(len(r.value or b"") for r in batch) <= bytes_max for batch in batches)


def test_quiet_partitions_share_the_transactions_of_a_process() -> None:
    """32 partitions together start no more transactions a second than 4."""
    pacer = pacing.Pacer(transactions_per_s_max=100.0)
    pacer.partitions = 4
    assert pacer.due_s(10.0, 0.001) == pytest.approx(10.04)
    pacer.partitions = 32
    assert pacer.due_s(10.0, 0.001) == pytest.approx(10.32)


@pytest.mark.parametrize(("took_s", "due_s"), [(0.02, 10.04), (0.04, 10.06), (1.0, 11.04)])
def test_a_long_transaction_is_followed_by_a_pause_in_proportion_and_bounded(took_s: float, due_s: float) -> None:
    """Four partitions at 100 transactions a second have 40 ms each; what took a second is not waited for another half."""
    pacer = pacing.Pacer(transactions_per_s_max=100.0)
    pacer.partitions = 4
    assert pacer.due_s(10.0, took_s) == pytest.approx(due_s)
