"""What a key's history holds beyond the amounts of all payments, as numbers: the program of `memory_kernel`.

It lies in the key's row behind the amounts' rings. A *series* is the numbers of one attribute, or of the payments for which
one condition holds; it has rings of its own. A *table* holds the ids of one field that the key met last, and when. A *place*
is where it was last.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import filters, index, memory_kernel
from models.features.columns import NO_VALUE, TransactionColumns
from models.features.index import Keys
from schemas.conditions import Condition
from schemas.feature_kinds.base import IdField
from schemas.feature_kinds.history import Aggregation, NoveltyFeature, PlaceFeature, WindowFeature
from schemas.feature_spec import FeatureSpec, Window

VALUE_MAX = 1e15
"""Larger numbers count as this in a window: squares of larger ones would not fit a float32."""

NO_VALUE_KEY = index.key_of(NO_VALUE)

Series = tuple[str, Condition | None]
"""Of which number, and of which payments."""

MemoryFeature = WindowFeature | NoveltyFeature | PlaceFeature

_REGISTERS: dict[Aggregation, int] = {
    "count": memory_kernel.COUNT,
    "sum": memory_kernel.SUM,
    "mean": memory_kernel.MEAN,
    "max": memory_kernel.MAX,
    "std": memory_kernel.STD,
    "ratio": memory_kernel.RATIO,
}
_NEEDS_SUM = {"sum", "mean", "std", "ratio"}
_PARTS = {"first": memory_kernel.FIRST, "count": memory_kernel.MET, "since": memory_kernel.SINCE}


class Rings(NamedTuple):
    """R rings of the series with W windows, and the F features that read them."""

    series: NDArray[np.int64]  # [R]
    bucket_ms: NDArray[np.int64]  # [R]
    buckets: NDArray[np.int64]  # [R]
    start: NDArray[np.int64]  # [R] word of the ring's first bucket, in the row
    layout: NDArray[np.int64]  # [R, 4] words of sum, squares and maximum in a bucket, 0 for none; words of a bucket
    windows: NDArray[np.int64]  # [R + 1] first window of the ring
    window_buckets: NDArray[np.int64]  # [W]
    source: NDArray[np.int64]  # [F] the register
    column: NDArray[np.int64]  # [F] in the matrix
    empty: NDArray[np.float64]  # [F] value where nothing counts
    log1p: NDArray[np.bool_]  # [F]


class Tables(NamedTuple):
    """T tables of what was met, and the F features that read them, sorted by table."""

    start: NDArray[np.int64]  # [T] word in the row
    slots: NDArray[np.int64]  # [T]
    features: NDArray[np.int64]  # [T + 1] first feature of the table
    part: NDArray[np.int64]  # [F]
    window_s: NDArray[np.int64]  # [F]
    at_most: NDArray[np.float64]  # [F] seconds, or different ones
    column: NDArray[np.int64]  # [F]
    missing: NDArray[np.float64]  # [F]
    log1p: NDArray[np.bool_]  # [F]


class Places(NamedTuple):
    """P places, and the F features that read them."""

    start: NDArray[np.int64]  # [P] column of the row, read as 8 bytes each: time, latitude, longitude
    place: NDArray[np.int64]  # [F]
    speed: NDArray[np.bool_]  # [F] else the distance
    at_most: NDArray[np.float64]  # [F]
    column: NDArray[np.int64]  # [F]
    missing: NDArray[np.float64]  # [F]
    log1p: NDArray[np.bool_]  # [F]


class MemoryProgram(NamedTuple):
    """What the kernel reads for one key. heads: column of the row, read as int64, of the mark; the rings' heads follow."""

    rings: Rings
    tables: Tables
    places: Places
    heads: int
    row_words: int


class Given(NamedTuple):
    """What a batch gives, by payment in the last dimension.

    values: float64[series, n], NaN where a payment does not count; hashes: uint64[tables, n], 0 for no id; places:
    float64[places, 2, n], degrees, NaN for none.
    """

    values: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    places: NDArray[np.float64]

    def part(self, rows: slice) -> "Given":
        """Of some payments."""
        return Given(self.values[:, rows], self.hashes[:, rows], self.places[:, :, rows])


def memory_features(spec: FeatureSpec, key: str | None = None) -> list[tuple[int, MemoryFeature]]:
    """Columns and features that read it, of one key or of all."""
    return [
        (column, feature)
        for column, feature in enumerate(spec.features)
        if (
            isinstance(feature, NoveltyFeature | PlaceFeature)
            or (isinstance(feature, WindowFeature) and not feature.plain)
        )
        and key in (None, feature.key)
    ]


def met_fields(spec: FeatureSpec, key: str | None = None) -> dict[IdField, int]:
    """The fields whose values a key remembers, and how many of each."""
    found: dict[IdField, int] = {}
    for _, feature in memory_features(spec, key):
        if isinstance(feature, NoveltyFeature):
            found[feature.of] = max(found.get(feature.of, 0), feature.remembered)
    return found


def series_of(spec: FeatureSpec, key: str | None = None) -> list[Series]:
    """The series of a key, or of all, each once."""
    return list(
        dict.fromkeys((f.field, f.where) for _, f in memory_features(spec, key) if isinstance(f, WindowFeature))
    )


def places_of(spec: FeatureSpec, key: str | None = None) -> list[str]:
    """The places that a key, or any, remembers."""
    return list(dict.fromkeys(f.attribute for _, f in memory_features(spec, key) if isinstance(f, PlaceFeature)))


def sides(place: str) -> tuple[str, str]:
    """The columns of a place."""
    return f"{place}.latitude", f"{place}.longitude"


def texts_read(spec: FeatureSpec) -> frozenset[str]:
    """Attributes that it reads as texts."""
    conditions = [where for _, where in series_of(spec) if where is not None]
    return frozenset(met_fields(spec)) | {name for where in conditions for name in filters.texts_read(where)}


def numbers_read(spec: FeatureSpec) -> frozenset[str]:
    """Attributes that it reads as numbers."""
    series = series_of(spec)
    compared = {name for _, where in series if where is not None for name in filters.numbers_read(where)}
    degrees = {side for place in places_of(spec) for side in sides(place)}
    return frozenset(degrees | compared | {field for field, _ in series} - {filters.AMOUNT})


def head_words(spec: FeatureSpec, key: str) -> int:
    """Words of the heads: the mark, and of each ring its newest bucket and how many of its buckets are not void."""
    return 2 * (1 + 2 * len(_rings(spec, key))) if memory_features(spec, key) else 0


def ring_bytes(spec: FeatureSpec, feature: WindowFeature) -> int:
    """Memory of the buckets that a feature of a series reads."""
    window = _window(spec, feature)
    for (series, width), buckets in _rings(spec, feature.key).items():
        if series == (feature.field, feature.where) and width == window.bucket_ms:
            return 4 * buckets * _layout(spec, feature.key, series)[3]
    raise LookupError(feature.name)


def memory_program(spec: FeatureSpec, key: str, heads: int, start: int) -> MemoryProgram | None:
    """The program of one key; None where no feature needs one. heads: column read as int64; start: first word behind."""
    if not memory_features(spec, key):
        return None
    rings, start = _rings_program(spec, key, start)
    tables, start = _tables_program(spec, key, start)
    places, start = _places_program(spec, key, start + start % 2)
    return MemoryProgram(rings, tables, places, heads, start)


class Reader:
    """What makes a batch's columns what the kernel takes, for one key."""

    def __init__(self, spec: FeatureSpec, key: str) -> None:
        self._series, self._met = series_of(spec, key), list(met_fields(spec, key))
        self._places = places_of(spec, key)

    def given(self, columns: TransactionColumns, keys: Mapping[IdField, Keys]) -> Given:
        """keys: of the ids, by field."""
        degrees = np.empty((len(self._places), 2, len(columns)), np.float64)
        for place, name in enumerate(self._places):
            for side, column in enumerate(sides(name)):
                degrees[place, side] = columns.numbers[column]
        return Given(*_given(self._series, self._met, columns, keys), degrees)


def _given(
    series: Sequence[Series], met: Sequence[IdField], columns: TransactionColumns, keys: Mapping[IdField, Keys]
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    count = len(columns)
    values = np.empty((len(series), count), np.float64)
    masks: dict[Condition, filters.Mask] = {}
    for place, (field, where) in enumerate(series):
        np.clip(filters.number(columns, field), -VALUE_MAX, VALUE_MAX, out=values[place])
        if where is not None:
            if where not in masks:
                masks[where] = filters.mask(where, columns)
            values[place, ~masks[where]] = math.nan
    hashes = np.empty((len(met), count), np.uint64)
    for place, field in enumerate(met):
        hashes[place] = index.public_hashes(keys[field], NO_VALUE_KEY)
    return values, hashes


def _window(spec: FeatureSpec, feature: WindowFeature) -> Window:
    return next(window for window in spec.windows if window.duration == feature.window)


def _rings(spec: FeatureSpec, key: str) -> dict[tuple[Series, int], int]:
    """Buckets of each ring: of a series and a width, as in `layout.ring_lengths`."""
    lengths: dict[tuple[Series, int], int] = {}
    for _, feature in memory_features(spec, key):
        if isinstance(feature, WindowFeature):
            window = _window(spec, feature)
            spare = -(-spec.lateness_ms // window.bucket_ms)
            ring = (feature.field, feature.where), window.bucket_ms
            lengths[ring] = max(lengths.get(ring, 0), window.buckets + spare)
    return lengths


def _layout(spec: FeatureSpec, key: str, series: Series) -> tuple[int, int, int, int]:
    features = [feature for _, feature in memory_features(spec, key) if isinstance(feature, WindowFeature)]
    used = {feature.aggregation for feature in features if (feature.field, feature.where) == series}
    needed = (bool(used & _NEEDS_SUM), "std" in used, "max" in used)
    places = [sum(needed[: place + 1]) if need else 0 for place, need in enumerate(needed)]
    return places[0], places[1], places[2], 1 + sum(needed)


def _rings_program(spec: FeatureSpec, key: str, start: int) -> tuple[Rings, int]:
    lengths, series = _rings(spec, key), series_of(spec, key)
    order = sorted(lengths, key=lambda ring: series.index(ring[0]))
    layouts = [_layout(spec, key, one) for one, _ in order]
    starts = start + np.cumsum([0, *(lengths[ring] * layout[3] for ring, layout in zip(order, layouts, strict=True))])
    features = [(column, f) for column, f in memory_features(spec, key) if isinstance(f, WindowFeature)]
    windows: list[tuple[int, int]] = sorted(
        {(order.index(((f.field, f.where), _window(spec, f).bucket_ms)), _window(spec, f).buckets) for _, f in features}
    )
    sources = [
        windows.index((order.index(((f.field, f.where), _window(spec, f).bucket_ms)), _window(spec, f).buckets))
        * memory_kernel.REGISTERS
        + _REGISTERS[f.aggregation]
        for _, f in features
    ]
    per_ring = [sum(ring == place for ring, _ in windows) for place in range(len(order))]
    return Rings(
        series=np.array([series.index(one) for one, _ in order], np.int64),
        bucket_ms=np.array([width for _, width in order], np.int64),
        buckets=np.array([lengths[ring] for ring in order], np.int64),
        start=starts[:-1].astype(np.int64),
        layout=np.array(layouts, np.int64).reshape(-1, 4),
        windows=np.cumsum([0, *per_ring]).astype(np.int64),
        window_buckets=np.array([buckets for _, buckets in windows], np.int64),
        source=np.array(sources, np.int64),
        column=np.array([column for column, _ in features], np.int64),
        empty=np.array([f.empty or 0.0 for _, f in features], np.float64),
        log1p=np.array([f.transform == "log1p" for _, f in features], np.bool_),
    ), int(starts[-1])


def _tables_program(spec: FeatureSpec, key: str, start: int) -> tuple[Tables, int]:
    met = met_fields(spec, key)
    slots = np.array(list(met.values()), np.int64)
    starts = start + np.cumsum([0, *(memory_kernel.TABLE_HEAD_WORDS + memory_kernel.SLOT_WORDS * slots)])
    of_table = [
        [(column, f) for column, f in memory_features(spec, key) if isinstance(f, NoveltyFeature) and f.of == field]
        for field in met
    ]
    features = [one for ones in of_table for one in ones]
    return Tables(
        start=starts[:-1].astype(np.int64),
        slots=slots,
        features=np.cumsum([0, *map(len, of_table)]).astype(np.int64),
        part=np.array([_PARTS[f.part] for _, f in features], np.int64),
        window_s=np.array([f.window_s for _, f in features], np.int64),
        at_most=np.array([f.remembered if f.part == "count" else f.at_most_s for _, f in features], np.float64),
        column=np.array([column for column, _ in features], np.int64),
        missing=np.array([math.nan if f.missing is None else f.missing for _, f in features], np.float64),
        log1p=np.array([f.transform == "log1p" for _, f in features], np.bool_),
    ), int(starts[-1])


def _places_program(spec: FeatureSpec, key: str, start: int) -> tuple[Places, int]:
    features = [(column, f) for column, f in memory_features(spec, key) if isinstance(f, PlaceFeature)]
    names, each = places_of(spec, key), memory_kernel.PLACE_COLUMNS
    return Places(
        start=start // 2 + each * np.arange(len(names), dtype=np.int64),
        place=np.array([names.index(f.attribute) for _, f in features], np.int64),
        speed=np.array([f.part == "speed" for _, f in features], np.bool_),
        at_most=np.array([f.at_most for _, f in features], np.float64),
        column=np.array([column for column, _ in features], np.int64),
        missing=np.array([f.missing for _, f in features], np.float64),
        log1p=np.array([f.transform == "log1p" for _, f in features], np.bool_),
    ), start + 2 * each * len(names)
