"""A feature spec as numbers: where a card's history lies in memory, and the program that the kernel runs.

A ring is a circle of buckets of one width; windows of the same bucket width share one. A ring has as many buckets as its
longest window, and as many more as the allowed lateness spans, so that an out-of-order payment too finds its whole window.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features.kernel import (
    AMOUNT,
    COUNT,
    HEADS,
    HOUR,
    IS_NIGHT,
    IS_WEEKEND,
    MAX,
    MEAN,
    PER_WINDOW,
    RATIO,
    SINCE_FIRST,
    SINCE_LAST,
    STD,
    SUM,
    WINDOWS,
)
from schemas.feature_spec import (
    CalendarFeature,
    Feature,
    FeatureSpec,
    FieldFeature,
    SinceFeature,
    Window,
    WindowFeature,
)

_CALENDAR = {"hour": HOUR, "is_night": IS_NIGHT, "is_weekend": IS_WEEKEND}
_WINDOW = {"count": COUNT, "sum": SUM, "mean": MEAN, "max": MAX, "std": STD, "ratio": RATIO}
_NEEDS_SUM = {"sum", "mean", "std", "ratio"}


class Program(NamedTuple):
    """What the kernel reads; R rings, W windows (sorted by ring, then by length), F features.

    A card's row is one stretch of memory, so that a card costs few cache misses: id, times as int64, then for each ring its
    planes of buckets as 4-byte words: counts (uint32), and as the spec needs sums, spreads, maxima (float32).
    """

    ring_bucket_ms: NDArray[np.int64]  # [R]
    ring_buckets: NDArray[np.int64]  # [R]
    ring_start: NDArray[np.int64]  # [R] word of the ring's first count
    ring_windows: NDArray[np.int64]  # [R + 1] first window of the ring; the last entry is their number
    window_buckets: NDArray[np.int64]  # [W]
    source: NDArray[np.int64]  # [F] the register
    at_most: NDArray[np.float64]  # [F] larger values become this
    log1p: NDArray[np.bool_]  # [F]
    planes: tuple[int, int, int]  # which plane holds sums, spreads, maxima; 0 where the spec needs none
    row_words: int


def ring_lengths(spec: FeatureSpec) -> dict[int, int]:
    """Bucket width in ms -> number of buckets of the ring of that width, in the order of the first window that uses it."""
    lengths: dict[int, int] = {}
    for window in used_windows(spec):
        spare = -(-spec.lateness_ms // window.bucket_ms)
        lengths[window.bucket_ms] = max(lengths.get(window.bucket_ms, 0), window.buckets + spare)
    return lengths


def used_windows(spec: FeatureSpec) -> list[Window]:
    """The windows that some feature reads, in the spec's order: only they cost memory."""
    read = {feature.window for feature in spec.features if isinstance(feature, WindowFeature)}
    return [window for window in spec.windows if window.duration in read]


@functools.lru_cache(maxsize=16)
def _program(canonical: str) -> Program:
    spec = FeatureSpec.model_validate_json(canonical)
    rings = ring_lengths(spec)
    order, lengths = list(rings), np.array(list(rings.values()), dtype=np.int64)
    windows = sorted(used_windows(spec), key=lambda window: (order.index(window.bucket_ms), window.buckets))
    index = {window.duration: number for number, window in enumerate(windows)}
    per_ring = [sum(window.bucket_ms == width for window in windows) for width in order]
    planes = _planes(spec)
    ring_words = lengths * (1 + max(planes))
    ends = 2 * (HEADS + len(order)) + np.cumsum(ring_words)
    words = int(ends[-1]) if len(order) else 2 * HEADS
    return Program(
        ring_bucket_ms=np.array(order, dtype=np.int64),
        ring_buckets=lengths,
        ring_start=ends - ring_words,
        ring_windows=np.concatenate([[0], np.cumsum(per_ring)]).astype(np.int64),
        window_buckets=np.array([window.buckets for window in windows], dtype=np.int64),
        source=np.array([_source(feature, index) for feature in spec.features], dtype=np.int64),
        at_most=np.array([_at_most(feature) for feature in spec.features], dtype=np.float64),
        log1p=np.array([getattr(feature, "transform", "none") == "log1p" for feature in spec.features]),
        planes=planes,
        row_words=words + words % 2,  # whole int64s
    )


def program(spec: FeatureSpec) -> Program:
    """The program of `spec`."""
    return _program(spec.model_dump_json())


def _planes(spec: FeatureSpec) -> tuple[int, int, int]:
    """Numbers, from 1, of the planes that the spec's aggregations need besides the counts."""
    aggregations = {feature.aggregation for feature in spec.features if isinstance(feature, WindowFeature)}
    sums, spreads, maxima = bool(aggregations & _NEEDS_SUM), "std" in aggregations, "max" in aggregations
    return int(sums), 2 * int(spreads), (1 + sums + spreads) * int(maxima)


def _source(feature: Feature, windows: dict[str, int]) -> int:
    match feature:
        case FieldFeature():
            return AMOUNT
        case CalendarFeature():
            return _CALENDAR[feature.part]
        case SinceFeature():
            return SINCE_LAST if feature.event == "last" else SINCE_FIRST
        case WindowFeature():
            return WINDOWS + windows[feature.window] * PER_WINDOW + _WINDOW[feature.aggregation]


def _at_most(feature: Feature) -> float:
    return feature.at_most_ms / 1000 if isinstance(feature, SinceFeature) else math.inf
