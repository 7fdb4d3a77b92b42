"""A short soak: what `make soak` does in half an hour, in half a minute."""

from tests.chaos.soak import FDS_SPREAD_MAX, RECYCLED_MIN, soak
from tests.services.harness import Stream

RSS_GROWTH_MB_MAX = 64.0
"""So short a run is mostly warm-up: the slope is judged by `make soak`, a leak of megabytes a second here."""


async def test_producers_are_replaced_and_no_descriptor_stays_behind(stream: Stream) -> None:
    """Rule D under load, twice for each partition; nothing lost, nothing left open."""
    outcome = await soak(stream, seconds=24.0, rate=400.0)
    assert (outcome.damage, outcome.lag) == (0, 0)
    assert outcome.records > 1000
    assert outcome.producers_replaced >= RECYCLED_MIN * outcome.partitions
    assert outcome.fds_max - outcome.fds_min <= FDS_SPREAD_MAX * outcome.partitions, outcome
    assert outcome.rss_mb_growth < RSS_GROWTH_MB_MAX, outcome
