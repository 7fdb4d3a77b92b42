"""A feature spec as a table for people: what each feature is, over which window, how exact, and what it costs."""

from dataclasses import dataclass

from models.features.layout import program, ring_lengths
from schemas.feature_spec import FeatureSpec, SinceFeature, Window, WindowFeature, duration_ms, duration_words

BUCKET_BYTES = 4


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One line of the table.

    bytes_per_card: memory of the buckets that the feature reads; features that read the same buckets share them, so the
    lines add up to more than `card_bytes`.
    """

    name: str
    what: str
    window: str
    resolution: str
    bytes_per_card: int


def table(spec: FeatureSpec) -> list[FeatureRow]:
    """One row per feature, in the spec's order."""
    windows = {window.duration: window for window in spec.windows}
    return [
        FeatureRow(feature.name, feature.words(), *_cost(spec, windows[feature.window]))
        if isinstance(feature, WindowFeature)
        else FeatureRow(feature.name, feature.words(), "", "exact", 8 if isinstance(feature, SinceFeature) else 0)
        for feature in spec.features
    ]


def card_bytes(spec: FeatureSpec) -> int:
    """Bytes of one card's whole history in arrays, its id not counted."""
    return 4 * program(spec).row_words


def _cost(spec: FeatureSpec, window: Window) -> tuple[str, str, int]:
    planes = 1 + max(program(spec).planes)
    ring_bytes = ring_lengths(spec)[window.bucket_ms] * planes * BUCKET_BYTES
    return window.duration, _width_words(window.bucket_ms), ring_bytes


def _width_words(bucket_ms: int) -> str:
    """A bucket's width in the largest unit that divides it."""
    for unit in ("d", "h", "m", "s"):
        if bucket_ms % duration_ms(f"1{unit}") == 0:
            number = bucket_ms // duration_ms(f"1{unit}")
            return f"1 {duration_words(f'1{unit}')}" if number == 1 else duration_words(f"{number}{unit}")
    return f"{bucket_ms} ms"
