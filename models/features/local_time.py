"""Local time of many instants at once: the offsets of a time zone as a table."""

import functools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400
UNTIL_S = 4_102_444_800  # 2100-01-01, where event times end


@functools.lru_cache(maxsize=16)
def _offsets(time_zone: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Instants (ms) at which the offset from UTC changes, and the offsets (ms) before, between and after them."""
    zone = ZoneInfo(time_zone)

    def offset_s(instant_s: int) -> int:
        local = datetime.fromtimestamp(instant_s, UTC).astimezone(zone)
        return round(local.replace(tzinfo=UTC).timestamp()) - instant_s

    changes: list[int] = []
    offsets = [offset_s(0)]
    for day_s in range(DAY_S, UNTIL_S + 1, DAY_S):
        after = offset_s(day_s)
        if after == offsets[-1]:
            continue
        low, high = day_s - DAY_S, day_s
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if offset_s(middle) == after else (middle, high)
        changes.append(high)
        offsets.append(after)
    return np.array(changes, dtype=np.int64) * 1000, np.array(offsets, dtype=np.int64) * 1000


def local_ms(event_time_ms: NDArray[np.int64], time_zone: str) -> NDArray[np.int64]:
    """Local wall-clock time in ms since 1970-01-01 00:00 local, for event times from 1970 to 2100."""
    if time_zone == "UTC":
        return event_time_ms
    changes, offsets = _offsets(time_zone)
    return event_time_ms + offsets[np.searchsorted(changes, event_time_ms, side="right")]
