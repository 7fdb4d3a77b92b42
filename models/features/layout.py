"""A feature spec as numbers: where a card's history lies in memory, and the program that the kernel runs.

A ring is a circle of buckets of one width; windows of the same bucket width share one. A ring has as many buckets as its
longest window, and as many more as the allowed lateness spans, so that an out-of-order payment too finds its whole window.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.feature_spec import CalendarFeature, Feature, FeatureSpec, FieldFeature, SinceFeature, Window, WindowFeature

OP_AMOUNT, OP_HOUR, OP_IS_NIGHT, OP_IS_WEEKEND, OP_SINCE_LAST, OP_SINCE_FIRST = range(6)
OP_COUNT, OP_SUM, OP_MEAN, OP_MAX, OP_STD, OP_RATIO = range(6, 12)

FIRST_MS, LAST_MS, HEADS = 0, 1, 2
"""Columns of a row's times (int64): first and last event time of the card; from HEADS on the newest bucket of each ring."""

EMPTY = np.iinfo(np.int64).min // 2
"""In the times: nothing yet."""

_CALENDAR_OPS = {"hour": OP_HOUR, "is_night": OP_IS_NIGHT, "is_weekend": OP_IS_WEEKEND}
_WINDOW_OPS = {"count": OP_COUNT, "sum": OP_SUM, "mean": OP_MEAN, "max": OP_MAX, "std": OP_STD, "ratio": OP_RATIO}
_NEEDS_SUM = {"sum", "mean", "std", "ratio"}


class Program(NamedTuple):
    """What the kernel reads; R rings, W windows (sorted by ring, then by length), F features.

    A card's row is one stretch of memory, so that a card costs few cache misses: times as int64, then for each ring its
    planes of buckets as 4-byte words: counts (uint32), and as the spec needs sums, spreads, maxima (float32).
    """

    ring_bucket_ms: NDArray[np.int64]  # [R]
    ring_buckets: NDArray[np.int64]  # [R]
    ring_start: NDArray[np.int64]  # [R] word of the ring's first count
    ring_windows: NDArray[np.int64]  # [R + 1] first window of the ring; the last entry is their number
    window_buckets: NDArray[np.int64]  # [W]
    ops: NDArray[np.int64]  # [F] OP_*
    arguments: NDArray[np.int64]  # [F] the window's index, or for OP_SINCE_* the cap in ms
    log1p: NDArray[np.bool_]  # [F]
    sum_plane: int  # the plane's number behind the counts, 0 where it is not kept; so the next two
    spread_plane: int
    max_plane: int
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
    instructions = [_instruction(feature, index) for feature in spec.features]
    kept = _planes(spec)
    ends = 2 * (HEADS + len(order)) + np.cumsum(lengths * (1 + len(kept)))
    words = int(ends[-1]) if len(order) else 2 * HEADS
    return Program(
        ring_bucket_ms=np.array(order, dtype=np.int64),
        ring_buckets=lengths,
        ring_start=ends - lengths * (1 + len(kept)),
        ring_windows=np.concatenate([[0], np.cumsum(per_ring)]).astype(np.int64),
        window_buckets=np.array([window.buckets for window in windows], dtype=np.int64),
        ops=np.array([op for op, _ in instructions], dtype=np.int64),
        arguments=np.array([argument for _, argument in instructions], dtype=np.int64),
        log1p=np.array([getattr(feature, "transform", "none") == "log1p" for feature in spec.features]),
        sum_plane=kept.get("sum", 0),
        spread_plane=kept.get("spread", 0),
        max_plane=kept.get("max", 0),
        row_words=words + words % 2,  # whole int64s
    )


def program(spec: FeatureSpec) -> Program:
    """The program of `spec`."""
    return _program(spec.model_dump_json())


def _planes(spec: FeatureSpec) -> dict[str, int]:
    """The planes that the spec's aggregations need besides the counts, numbered from 1."""
    aggregations = {feature.aggregation for feature in spec.features if isinstance(feature, WindowFeature)}
    needed = {"sum": aggregations & _NEEDS_SUM, "spread": aggregations & {"std"}, "max": aggregations & {"max"}}
    return {name: number for number, name in enumerate((name for name in needed if needed[name]), start=1)}


def _instruction(feature: Feature, windows: dict[str, int]) -> tuple[int, int]:
    match feature:
        case FieldFeature():
            return OP_AMOUNT, 0
        case CalendarFeature():
            return _CALENDAR_OPS[feature.part], 0
        case SinceFeature():
            return (OP_SINCE_LAST if feature.event == "last" else OP_SINCE_FIRST), feature.at_most_ms
        case WindowFeature():
            return _WINDOW_OPS[feature.aggregation], windows[feature.window]
