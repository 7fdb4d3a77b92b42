"""The parts of a payment's way: which fetch and batch it was in, and that the parts add up."""

from array import array

import pytest

from tests.benchmarks.slowest import PARTS, Way, Ways, chosen, together
from tests.benchmarks.timed import Batch, Fetch, Times
from tests.benchmarks.watch import Seen

MOMENTS = ("decode", "fold", "model", "emit", "process", "after_sends", "after_offsets", "deliver")


def batch(partition: int, first: int, begun_s: float) -> Batch:
    """One that takes 8 ms, each part 1."""
    moments = {name: begun_s + 0.001 * (place + 1) for place, name in enumerate(MOMENTS)}
    return Batch(partition, first, first + 9, begun_s, moments)


TIMES = Times(
    fetches=[Fetch(0, 10, 1.0, 1.004), Fetch(0, 30, 1.1, 1.104), Fetch(1, 10, 5.0, 5.004)],
    batches=[batch(0, 10, 1.005), batch(0, 20, 1.02), batch(0, 30, 1.105), batch(1, 10, 5.1)],
)


@pytest.mark.parametrize(
    ("offset", "due_s", "sent_s", "wanted"),
    [
        (12, 0.9, 0.91, {"sending": 10, "unasked": 90, "fetching": 4, "waiting": 1}),
        (25, 0.9, 0.91, {"sending": 10, "unasked": 90, "fetching": 4, "waiting": 16}),
        (30, 1.101, 1.102, {"sending": 1, "unasked": 0, "fetching": 2, "waiting": 1}),
        (31, 1.101, 1.2, {"sending": 3, "unasked": 0, "fetching": 0, "waiting": 1}),  # a clock of whole milliseconds
    ],
)
def test_a_way_is_cut_where_its_fetch_and_its_batch_were(
    offset: int, due_s: float, sent_s: float, wanted: dict[str, float]
) -> None:
    """What came late into a fetch waited for nothing before; each part of a batch is its own millisecond."""
    seen_s = 2.0
    way = Ways(TIMES).of(0, offset, due_s, sent_s, seen_s)
    assert list(way.parts_ms) == list(PARTS)
    assert {name: way.parts_ms[name] for name in wanted} == pytest.approx(wanted)
    assert [
        way.parts_ms[name] for name in ("decode", "fold", "model", "emit", "other", "sends", "offsets", "commit")
    ] == (pytest.approx([1] * 8))
    assert way.ms == pytest.approx((seen_s - due_s) * 1e3)


def test_partitions_have_fetches_and_batches_of_their_own() -> None:
    """The same offset elsewhere is another payment."""
    assert Ways(TIMES).of(1, 12, 4.0, 4.0, 6.0).parts_ms["waiting"] == pytest.approx(96)


def test_the_slowest_are_chosen_of_what_counts() -> None:
    """Slowest first; what was due in the warm seconds is left out."""
    seen = Seen(array("q", [0, 10, 20, 30]), array("q", [900, 15, 220, 40]), array("q", range(4)))
    assert chosen(seen, 10, 2) == ([2, 3], [1, 2, 3])


def test_payments_that_were_slow_together_are_one_moment() -> None:
    """Within 50 ms of each other, whatever their order."""
    ways = [Way(0, place, due_s, {}) for place, due_s in enumerate((2.0, 1.0, 1.04, 1.08, 2.2))]
    assert [[way.offset for way in group] for group in together(ways)] == [[1, 2, 3], [0], [4]]
