"""Local time of many instants equals the standard library's, one by one."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.local_time import local_ms
from schemas.times import EVENT_TIME_MS_MAX

ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
]


@given(st.sampled_from(ZONES), st.lists(st.integers(0, EVENT_TIME_MS_MAX), max_size=50))
@settings(deadline=None)
def test_local_time_equals_zoneinfo(zone: str, instants: list[int]) -> None:
    """Any instant from 1970 to 2100, in zones with all kinds of changes."""
    computed = local_ms(np.array(instants, dtype=np.int64), zone).tolist()
    for instant, local in zip(instants, computed, strict=True):
        offset = datetime.fromtimestamp(instant // 1000, UTC).astimezone(ZoneInfo(zone)).utcoffset()
        assert offset is not None
        assert local == instant + offset.total_seconds() * 1000


@pytest.mark.parametrize(("before", "after"), [("2026-03-29T00:59:59.999", "2026-03-29T01:00:00.000")])
def test_the_clock_changes_in_the_right_millisecond(before: str, after: str) -> None:
    """Paris goes from 02:00 to 03:00."""
    instants = [round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000) for text in (before, after)]
    local = local_ms(np.array(instants, dtype=np.int64), "Europe/Paris")
    assert (local[1] - local[0]).item() == 1 + 3_600_000
