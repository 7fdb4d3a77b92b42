"""A feature spec as a table for people: what each feature is, over which window, how exact, and what it costs."""

import time
from dataclasses import dataclass

import numpy as np

from models.features.columns import TransactionColumns
from models.features.entities import derived
from models.features.fold import fold, warm
from models.features.index import table_bytes
from models.features.labelled import HISTORIES, Labelled
from models.features.layout import bucket_layout_of, id_fields, number_fields, program, ring_lengths, used_keys
from models.features.memory import met_fields
from models.features.memory import ring_bytes as series_bytes
from models.features.state import FeatureState
from schemas.feature_kinds.base import BaseFeature, duration_ms, duration_words
from schemas.feature_kinds.history import (
    LabelsFeature,
    NoveltyFeature,
    PlaceFeature,
    ProfileFeature,
    SinceFeature,
    WindowFeature,
)
from schemas.feature_spec import FeatureSpec, Window

WORD_BYTES = 4
EVENTS, BATCH, IDS = 20_000, 2_000, 1_000


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One line of the table.

    key: whose history it reads. bytes_per_id: memory of the buckets that it reads; features that read the same buckets share
    them, so the lines add up to more than `key_bytes`.
    """

    name: str
    what: str
    key: str
    window: str
    resolution: str
    bytes_per_id: int


def table(spec: FeatureSpec) -> list[FeatureRow]:
    """One row per feature, in the spec's order."""
    windows = {window.duration: window for window in spec.windows}
    rows = []
    for feature in spec.features:
        key, window, resolution, size = "", "", "exact", 0
        if isinstance(feature, NoveltyFeature):
            remembered = met_fields(spec, feature.key)[feature.of]
            key, window, size = feature.key, feature.window or "ever", 4 + 12 * remembered
            resolution = f"exact up to {remembered}, 1 second"
        elif isinstance(feature, PlaceFeature):
            key, size = feature.key, 24
        elif isinstance(feature, WindowFeature):
            key, (window, resolution, size) = feature.key, _cost(spec, feature, windows[feature.window])
        elif isinstance(feature, LabelsFeature):
            width = _width_words(windows[feature.window].bucket_ms)
            key, window, resolution = feature.key, f"{feature.window}, {feature.label_delay} ago", width
            size = labels_bytes(spec, feature.key)
        elif isinstance(feature, ProfileFeature):
            key, window, resolution = "all terminals", f"{feature.window}, {spec.label_delay} ago", "1 day"
        elif isinstance(feature, SinceFeature):
            key, size = feature.key, 8
        rows.append(FeatureRow(feature.name, _what(feature), key, window, resolution, size))
    return rows


def key_bytes(spec: FeatureSpec) -> dict[str, int]:
    """Bytes of one id's whole history in arrays, by key; its id included, its entry in the index (16 to 40) not."""
    return {key: WORD_BYTES * program(spec, key).row_words for key in used_keys(spec)}


def labels_bytes(spec: FeatureSpec, name: str) -> int:
    """Bytes of what labels say of one id of an entity, with a fraud and one taken back; 0 where no feature reads it."""
    return Labelled(derived(spec, name), name, 1).row_bytes if name in spec.labelled else 0


@dataclass(frozen=True, slots=True)
class EntityRow:
    """What one entity takes.

    hop: the number of the hop, from 1. bytes_per_id: of its history, with the id and its entry in the index. memory_mb_max: of
    all partitions of `entity-events` together, each with as many ids as it may remember.
    """

    entity: str
    fields: str
    features: int
    hop: int
    partitions: int
    bytes_per_id: int
    memory_mb_max: int


def entity_table(spec: FeatureSpec, partitions: int, ids_max: int) -> list[EntityRow]:
    """One row for each entity that features read. partitions: of `entity-events`. ids_max: of an entity in each of them."""
    rows = []
    for hop, name in enumerate(spec.stages, 1):
        stage = derived(spec, name)
        size = key_bytes(stage).get(name, 0) + labels_bytes(spec, name)
        indexes = (name in key_bytes(stage)) + (len(HISTORIES) if name in spec.labelled else 0)
        index_bytes = indexes * table_bytes(ids_max)
        rows.append(
            EntityRow(
                entity=name,
                fields=", ".join(spec.entities[name].fields),
                features=len(stage.features),
                hop=hop,
                partitions=partitions,
                bytes_per_id=size + index_bytes // ids_max,
                memory_mb_max=-(-partitions * (ids_max * size + index_bytes) // 1_000_000),
            )
        )
    return rows


def ns_per_event(spec: FeatureSpec) -> float:
    """Nanoseconds of one core that the fold takes for a payment, measured here and now on evenly mixed ids."""
    warm(spec)
    state = FeatureState(spec, IDS)
    ids = [f"id-{number * 617 % IDS:08d}" for number in range(BATCH)]
    fields, amounts, begun_s = id_fields(spec), np.ones(BATCH), time.perf_counter()
    numbers = dict.fromkeys(number_fields(spec), amounts)
    for start in range(0, EVENTS, BATCH):
        times = np.arange(start, start + BATCH, dtype=np.int64) * 60_000
        fold(state, TransactionColumns(dict.fromkeys(fields, ids), times, amounts, numbers=numbers))
    return (time.perf_counter() - begun_s) / EVENTS * 1e9


def _what(feature: BaseFeature) -> str:
    return feature.words() + (" (logarithm)" if getattr(feature, "transform", "none") == "log1p" else "")


def _cost(spec: FeatureSpec, feature: WindowFeature, window: Window) -> tuple[str, str, int]:
    if not feature.plain:
        return window.duration, _width_words(window.bucket_ms), series_bytes(spec, feature)
    words = ring_lengths(spec, feature.key)[window.bucket_ms] * bucket_layout_of(spec, feature.key).stride
    return window.duration, _width_words(window.bucket_ms), words * WORD_BYTES


def _width_words(bucket_ms: int) -> str:
    """A bucket's width in the largest unit that divides it."""
    for unit in ("d", "h", "m", "s"):
        if bucket_ms % duration_ms(f"1{unit}") == 0:
            number = bucket_ms // duration_ms(f"1{unit}")
            return f"1 {duration_words(f'1{unit}')}" if number == 1 else duration_words(f"{number}{unit}")
    return f"{bucket_ms} ms"
