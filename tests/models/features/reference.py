"""Features by brute force over the raw history, and the random streams they are compared on."""

import itertools
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.fold import fold
from models.features.layout import ring_lengths
from models.features.spec_file import parse_spec
from models.features.state import FeatureState
from schemas.feature_kinds.base import IdField, duration_ms
from schemas.feature_kinds.history import ProfileFeature, SinceFeature, WindowFeature
from schemas.feature_spec import Feature, FeatureSpec

EVERY_KIND = parse_spec("""
version: 1
time_zone: Europe/Paris
allowed_lateness: 90s
keys: {card: card_id, terminal: terminal_id}
windows:
  - {duration: 2m, buckets: 4}
  - {duration: 10m, buckets: 20}
  - {duration: 1h, buckets: 6}
  - {duration: 2d, buckets: 2}
features:
  - {name: amount, kind: field, field: amount}
  - {name: log_amount, kind: field, field: amount, transform: log1p}
  - {name: hour, kind: calendar, part: hour}
  - {name: is_night, kind: calendar, part: is_night}
  - {name: is_weekend, kind: calendar, part: is_weekend}
  - {name: since_last, kind: since, key: card, event: last, at_most: 1d}
  - {name: since_first, kind: since, key: card, event: first, at_most: 2d, transform: log1p}
  - {name: count_2m, kind: window, key: card, aggregation: count, window: 2m}
  - {name: sum_2m, kind: window, key: card, aggregation: sum, window: 2m}
  - {name: mean_10m, kind: window, key: card, aggregation: mean, window: 10m}
  - {name: max_10m, kind: window, key: card, aggregation: max, window: 10m}
  - {name: std_1h, kind: window, key: card, aggregation: std, window: 1h}
  - {name: ratio_1h, kind: window, key: card, aggregation: ratio, window: 1h}
  - {name: count_1h, kind: window, key: card, aggregation: count, window: 1h, transform: log1p}
  - {name: max_2d, kind: window, key: card, aggregation: max, window: 2d}
  - {name: std_2d, kind: window, key: card, aggregation: std, window: 2d}
  - {name: terminals_10m, kind: window, key: card, aggregation: distinct, of: terminal_id, window: 10m}
  - {name: terminals_2d, kind: window, key: card, aggregation: distinct, of: terminal_id, window: 2d}
  - {name: countries_2d, kind: window, key: card, aggregation: distinct, of: country, window: 2d, transform: log1p}
  - {name: terminal_count_1h, kind: window, key: terminal, aggregation: count, window: 1h}
  - {name: terminal_since_last, kind: since, key: terminal, event: last, at_most: 1d}
  - {name: terminal_cards_2d, kind: window, key: terminal, aggregation: distinct, of: card_id, window: 2d}
  - {name: profile_count_2d, kind: profile, aggregation: count, window: 2d}
  - {name: profile_rate_2d, kind: profile, aggregation: fraud_rate, window: 2d}
""")
"""Every kind of feature, of two keys, with two windows that share a ring."""

START_MS = (
    datetime(2026, 3, 28, 22, 30, tzinfo=UTC).timestamp() * 1000
)  # an hour and a half before Paris springs forward


@st.composite
def streams(draw: st.DrawFn, cards: int = 3, size_max: int = 40) -> TransactionColumns:
    """Bursts and pauses of a few cards, with steps back within the allowed lateness and beyond it."""
    steps_s = st.one_of(st.integers(0, 40), st.integers(-200, 4_000), st.integers(0, 3 * 86_400))
    events = draw(
        st.lists(
            st.tuples(st.integers(0, 3 * cards - 1), steps_s, st.integers(0, 999), st.integers(0, 100_000)),
            max_size=size_max,
        )
    )
    time_ms = np.int64(START_MS) + np.cumsum([1000 * step + ms for _, step, ms, _ in events], dtype=np.int64)
    numbers = [number for number, _, _, _ in events]
    ids: dict[IdField, list[str]] = {
        "card_id": [f"carte-é{number % cards}" for number in numbers],
        "terminal_id": [f"terminal-{number // cards}" for number in numbers],
        "country": [NO_VALUE if number % 2 else "LT" for number in numbers],
    }
    return TransactionColumns(ids, time_ms, np.array([cents / 100 for *_, cents in events], dtype=np.float64))


def fold_in_parts(
    state: FeatureState, columns: TransactionColumns, cuts: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`fold` of the stream cut at `cuts`."""
    edges = [0, *sorted(cut % (len(columns) + 1) for cut in cuts), len(columns)]
    parts = [fold(state, columns[start:end]) for start, end in itertools.pairwise(edges)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


Past = tuple[int, float, dict[IdField, str]]


@dataclass
class Reference:
    """The same features from lists of raw payments."""

    spec: FeatureSpec
    history: dict[str, list[Past]] = field(default_factory=dict)

    def score(self, ids: dict[IdField, str], time_ms: int, amount: float) -> tuple[list[float], bool]:
        """Features of one payment, and whether it is late; then remembers it."""
        late = {
            key: time_ms < max((time for time, *_ in self._past(key, ids)), default=time_ms) - self.spec.lateness_ms
            for key in self.spec.keys
        }
        row = [self._feature(feature, ids, time_ms, amount) for feature in self.spec.features]
        for key in self.spec.keys:
            if not (late["card"] or late[key]):
                self.history.setdefault(key, []).append((time_ms, amount, ids))
        return row, late["card"]

    def _past(self, key: str, ids: dict[IdField, str]) -> list[Past]:
        name = self.spec.keys[key]
        return [event for event in self.history.get(key, []) if event[2][name] == ids[name]]

    def _feature(self, feature: Feature, ids: dict[IdField, str], time_ms: int, amount: float) -> float:
        if isinstance(feature, WindowFeature):
            value = self._window(feature, self._past(feature.key, ids), ids, time_ms, amount)
        elif isinstance(feature, ProfileFeature):
            value = 0.0  # no one profiles here; see test_profiles
        elif isinstance(feature, SinceFeature):
            times = [time for time, *_ in self._past(feature.key, ids)]
            if not times:
                value = duration_ms(feature.at_most) / 1000 if feature.event == "last" else 0.0
            else:
                other = max(times) if feature.event == "last" else min(times)
                value = min(max(time_ms - other, 0), duration_ms(feature.at_most)) / 1000
        elif feature.kind == "calendar":
            local = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(ZoneInfo(self.spec.time_zone))
            hour = local.hour + local.minute / 60 + local.second / 3600 + local.microsecond / 3.6e9
            value = {"hour": hour, "is_night": local.hour <= 6, "is_weekend": local.weekday() >= 5}[feature.part]
        else:
            value = amount
        return math.log1p(value) if getattr(feature, "transform", "none") == "log1p" else float(value)

    def _window(
        self, feature: WindowFeature, past: list[Past], ids: dict[IdField, str], time_ms: int, amount: float
    ) -> float:
        window = next(window for window in self.spec.windows if window.duration == feature.window)
        now = time_ms // window.bucket_ms
        newest = max((time // window.bucket_ms for time, *_ in past), default=now)
        # What a late payment looks for may be overwritten already: the ring reaches so far back and no further.
        oldest = max(now - window.buckets, newest - ring_lengths(self.spec, feature.key)[window.bucket_ms])
        inside = [event for event in past if oldest < event[0] // window.bucket_ms <= now]
        amounts = np.array([value for _, value, _ in inside] + [amount])
        match feature.aggregation:
            case "count":
                return len(amounts)
            case "sum":
                return float(amounts.sum())
            case "mean":
                return float(amounts.mean())
            case "max":
                return float(amounts.max())
            case "std":
                return float(amounts.std())
            case "distinct":  # few enough values that none share a bit of 64 by chance in these streams
                assert feature.of is not None
                return len({event[2][feature.of] for event in inside} | {ids[feature.of]})
            case "ratio":
                return amount / float(amounts.mean()) if amounts.any() else 1.0
