"""A feature spec as numbers: where a key's history is in memory, and the program that the kernel runs over it.

A ring is a circle of buckets of one width; windows of the same bucket width share one. A ring has as many buckets as its
longest window, and as many more as the allowed lateness spans, so that an out-of-order payment too finds its whole window.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import inputs, kernel, memory
from models.features.derived import read_for
from models.features.inputs import text_fields
from models.features.memory import MemoryFeature, MemoryProgram
from schemas.feature_kinds.base import IdField
from schemas.feature_kinds.event import CalendarFeature, FieldFeature
from schemas.feature_kinds.history import LabelsFeature, SinceFeature, WindowFeature
from schemas.feature_spec import FeatureSpec, Window

_CALENDAR = {"hour": kernel.HOUR, "is_night": kernel.IS_NIGHT, "is_weekend": kernel.IS_WEEKEND}
_WINDOW = {
    "count": kernel.COUNT,
    "sum": kernel.SUM,
    "mean": kernel.MEAN,
    "max": kernel.MAX,
    "std": kernel.STD,
    "ratio": kernel.RATIO,
}
_NEEDS_SUM = {"sum", "mean", "std", "ratio"}
MARK_WORDS = kernel.SKETCH_BITS // 32
LINE_WORDS = 16
"""A cache line. Rows begin on one."""


class Plain(NamedTuple):
    """The P features that need no history."""

    source: NDArray[np.int64]  # [P]
    column: NDArray[np.int64]  # [P] in the matrix
    log1p: NDArray[np.bool_]  # [P]


class BucketLayout(NamedTuple):
    """Where a bucket, a stretch of 4-byte words, holds what; its word 0 is the count (uint32). 0: the spec needs none."""

    sum_at: int  # float32
    m2_at: int  # float32, sum of squared differences from the mean
    max_at: int  # float32
    sketch_at: int  # 64 bits for each field whose different values are counted
    stride: int


class Program(NamedTuple):
    """What the kernel reads for one key; R rings, W windows (sorted by ring, then by length), F of the features.

    A row is one stretch of memory, so that a key costs few cache misses: id, times as int64, a word for each ring, buckets.
    """

    ring_bucket_ms: NDArray[np.int64]  # [R]
    ring_buckets: NDArray[np.int64]  # [R]
    ring_start: NDArray[np.int64]  # [R] word of the ring's first bucket
    ring_windows: NDArray[np.int64]  # [R + 1] first window of the ring; the last entry is their number
    window_buckets: NDArray[np.int64]  # [W]
    source: NDArray[np.int64]  # [F] the register
    column: NDArray[np.int64]  # [F] in the matrix
    at_most: NDArray[np.float64]  # [F] larger values become this
    log1p: NDArray[np.bool_]  # [F]
    bucket_layout: BucketLayout
    row_words: int


def plain(spec: FeatureSpec) -> Plain:
    """The features that a payment gives on its own."""
    found = [
        (column, kernel.AMOUNT if isinstance(feature, FieldFeature) else _CALENDAR[feature.part], _logarithmic(feature))
        for column, feature in enumerate(spec.features)
        if isinstance(feature, FieldFeature | CalendarFeature)
    ]
    return Plain(
        source=np.array([source for _, source, _ in found], dtype=np.int64),
        column=np.array([column for column, _, _ in found], dtype=np.int64),
        log1p=np.array([logarithm for _, _, logarithm in found], dtype=np.bool_),
    )


def used_keys(spec: FeatureSpec) -> list[str]:
    """The keys that some feature reads, in the spec's order: only they cost memory."""
    features: list[tuple[int, SinceFeature | MemoryFeature]] = [*_keyed(spec), *memory.memory_features(spec)]
    read = {feature.key for _, feature in features}
    return [key for key in spec.keys if key in read]


def counted_fields(spec: FeatureSpec, key: str) -> list[IdField]:
    """The fields whose different values are counted for a key, in the order of the features."""
    fields = [feature.of for _, feature in _keyed(spec, key) if isinstance(feature, WindowFeature) and feature.of]
    return list(dict.fromkeys(fields))


def id_fields(spec: FeatureSpec) -> frozenset[IdField]:
    """Every id of the source's that features read, those of entities included."""
    return _own_fields(spec) | {field for name in spec.stages for field in entity_fields(spec, name)}


def entity_fields(spec: FeatureSpec, name: str) -> frozenset[IdField]:
    """Every id of the source's that features of an entity read."""
    read = {*spec.entities[name].fields, *counted_fields(spec, name), *memory.texts_read(spec)}
    read |= {"card_id"} if counts_subjects(spec, name) else set()
    return read_for(spec, frozenset(read))


def counts_subjects(spec: FeatureSpec, name: str) -> bool:
    """Whether what labels say of an entity is asked by subject, too."""
    asked = (feature for feature in spec.features if isinstance(feature, LabelsFeature) and feature.key == name)
    return any(feature.aggregation == "fraud_subject_rate" for feature in asked)


def number_fields(spec: FeatureSpec) -> frozenset[str]:
    """Every attribute that features read as a number, amount and time of the payment left out."""
    return inputs.number_fields(spec) | memory.numbers_read(spec)


def stream_fields(spec: FeatureSpec) -> frozenset[IdField]:
    """Every id that a stream's fold takes: the card moves the clock, terminals are counted for the profiles of any bundle."""
    return _own_fields(spec) | {"card_id", "terminal_id"}


def _own_fields(spec: FeatureSpec) -> frozenset[IdField]:
    """Every id that the fold of a partition reads."""
    fields = {field for key in used_keys(spec) for field in (spec.keys[key], *counted_fields(spec, key))}
    fields |= {"terminal_id"} if spec.profiled else set()
    return read_for(spec, frozenset(fields | text_fields(spec) | memory.texts_read(spec)))


def places(spec: FeatureSpec) -> NDArray[np.int64]:
    """Columns of the features of entities, stage by stage."""
    found = [
        column
        for name in spec.stages
        for column, feature in enumerate(spec.features)
        if getattr(feature, "key", None) == name
    ]
    return np.array(found, dtype=np.int64)


def ring_lengths(spec: FeatureSpec, key: str) -> dict[int, int]:
    """Bucket width in ms -> number of buckets of the ring of that width, in the order of the first window that uses it."""
    lengths: dict[int, int] = {}
    for window in used_windows(spec, key):
        spare = -(-spec.lateness_ms // window.bucket_ms)
        lengths[window.bucket_ms] = max(lengths.get(window.bucket_ms, 0), window.buckets + spare)
    return lengths


def used_windows(spec: FeatureSpec, key: str) -> list[Window]:
    """The windows that some feature of a key reads, in the spec's order."""
    read = {feature.window for _, feature in _keyed(spec, key) if isinstance(feature, WindowFeature)}
    return [window for window in spec.windows if window.duration in read]


@functools.lru_cache(maxsize=64)
def _program(canonical: str, key: str) -> Program:
    spec = FeatureSpec.model_validate_json(canonical)
    rings = ring_lengths(spec, key)
    order, lengths = list(rings), np.array(list(rings.values()), dtype=np.int64)
    windows = sorted(used_windows(spec, key), key=lambda window: (order.index(window.bucket_ms), window.buckets))
    index = {window.duration: number for number, window in enumerate(windows)}
    per_ring = [sum(window.bucket_ms == width for window in windows) for width in order]
    bucket_layout, fields = bucket_layout_of(spec, key), counted_fields(spec, key)
    starts = (
        _head_words(spec, key)
        + memory.head_words(spec, key)
        + np.concatenate([[0], np.cumsum(lengths * bucket_layout.stride)]).astype(np.int64)
    )
    features = _keyed(spec, key)
    memory_program = memory.memory_program(spec, key, _head_words(spec, key) // 2, int(starts[-1]))
    return Program(
        ring_bucket_ms=np.array(order, dtype=np.int64),
        ring_buckets=lengths,
        ring_start=starts[:-1],
        ring_windows=np.concatenate([[0], np.cumsum(per_ring)]).astype(np.int64),
        window_buckets=np.array([window.buckets for window in windows], dtype=np.int64),
        source=np.array([_source(feature, index, fields) for _, feature in features], dtype=np.int64),
        column=np.array([column for column, _ in features], dtype=np.int64),
        at_most=np.array([_at_most(feature) for _, feature in features], dtype=np.float64),
        log1p=np.array([_logarithmic(feature) for _, feature in features], dtype=np.bool_),
        bucket_layout=bucket_layout,
        row_words=_lines(memory_program.row_words if memory_program else int(starts[-1])),
    )


def program(spec: FeatureSpec, key: str) -> Program:
    """The program of `spec` for one of its keys."""
    return _program(spec.model_dump_json(), key)


def memory_of(spec: FeatureSpec, key: str) -> MemoryProgram | None:
    """What the same rows hold behind the program's rings; None where no feature reads more."""
    found = program(spec, key)
    starts = found.ring_start, found.ring_buckets * found.bucket_layout.stride
    behind = _head_words(spec, key) + memory.head_words(spec, key) + int(starts[1].sum())
    made = memory.memory_program(spec, key, _head_words(spec, key) // 2, behind)
    return made and made._replace(row_words=found.row_words)


def _head_words(spec: FeatureSpec, key: str) -> int:
    """Words of id, times, and of each ring its newest bucket and how many are not void; even where memory follows."""
    rings = len(ring_lengths(spec, key))
    words = 2 * (kernel.HEADS + rings) + rings
    return words + words % 2 if memory.memory_features(spec, key) else words


def _lines(words: int) -> int:
    return -(-words // LINE_WORDS) * LINE_WORDS


def bucket_layout_of(spec: FeatureSpec, key: str) -> BucketLayout:
    """What a bucket holds for the aggregations of a key, besides the count."""
    used = {feature.aggregation for _, feature in _keyed(spec, key) if isinstance(feature, WindowFeature)}
    needed = (bool(used & _NEEDS_SUM), "std" in used, "max" in used)
    places = [sum(needed[: place + 1]) if need else 0 for place, need in enumerate(needed)]
    sketch_at = 1 + sum(needed)
    return BucketLayout(
        places[0], places[1], places[2], sketch_at, sketch_at + MARK_WORDS * len(counted_fields(spec, key))
    )


def _keyed(spec: FeatureSpec, key: str | None = None) -> list[tuple[int, SinceFeature | WindowFeature]]:
    """Columns and features that read the times and amounts of all payments, of one key or of all."""
    return [
        (column, feature)
        for column, feature in enumerate(spec.features)
        if (isinstance(feature, SinceFeature) or (isinstance(feature, WindowFeature) and feature.plain))
        and key in (None, feature.key)
    ]


def _source(feature: SinceFeature | WindowFeature, windows: dict[str, int], fields: list[IdField]) -> int:
    if isinstance(feature, SinceFeature):
        return kernel.SINCE_LAST if feature.event == "last" else kernel.SINCE_FIRST
    register = kernel.WINDOWS + windows[feature.window] * (kernel.DISTINCT + len(fields))
    return register + (kernel.DISTINCT + fields.index(feature.of) if feature.of else _WINDOW[feature.aggregation])


def _at_most(feature: SinceFeature | WindowFeature) -> float:
    return feature.at_most_ms / 1000 if isinstance(feature, SinceFeature) else math.inf


def _logarithmic(feature: FieldFeature | CalendarFeature | SinceFeature | WindowFeature) -> bool:
    return getattr(feature, "transform", "none") == "log1p"
