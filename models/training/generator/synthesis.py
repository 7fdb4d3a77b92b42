"""Synthetic rows of a feature spec: the generator draws the columns that are free, and what follows from them is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.generation.marginals import Marginal, fit_marginals, from_uniform, to_uniform
from models.networks.encoding import Values, present
from models.networks.gan import Generator
from models.training.generator.fit_gan import GanSettings, draw_levels, fit_gan
from models.training.progress import Progress
from schemas.feature_kinds.event import CalendarFeature, FieldFeature
from schemas.feature_kinds.history import WindowFeature
from schemas.feature_spec import FeatureSpec

NIGHT_ENDS_HOUR = 7.0
"""As the feature `is_night` has it (schemas/feature_kinds.py)."""


@dataclass(frozen=True, slots=True)
class Night:
    """`column` says whether `hour` is at night."""

    column: int
    hour: int


@dataclass(frozen=True, slots=True)
class Mean:
    """`column` = `amount` / `ratio`; a payment that is alone in its window, by `count`, has the ratio 1."""

    column: int
    amount: int
    ratio: int
    count: int | None


def derived_columns(spec: FeatureSpec) -> tuple[Night | Mean, ...]:
    """is_night where the spec has the hour, a window's mean where it has amount and ratio. Others are drawn like any column.

    A generator that drew them too would contradict itself in every row. The ratio is drawn and not the mean, since it is
    exactly 1 in most rows, a share of its own, which the marginals keep.
    """
    place = {_meaning(feature): column for column, feature in enumerate(spec.features)}
    amount, hour = place.get(("amount",)), place.get(("hour",))
    found: list[Night | Mean] = []
    for column, feature in enumerate(spec.features):
        match _meaning(feature):
            case ("mean", key, window) if amount is not None and ("ratio", key, window) in place:
                found.append(Mean(column, amount, place["ratio", key, window], place.get(("count", key, window))))
            case ("is_night",) if hour is not None:
                found.append(Night(column, hour))
    return tuple(found)


def _meaning(feature: object) -> tuple[str, ...]:
    """What a column of raw values is; () for every other."""
    match feature:
        case FieldFeature(field="amount", transform="none"):
            return ("amount",)
        case CalendarFeature(part="hour" | "is_night" as part):
            return (part,)
        case WindowFeature(aggregation="mean" | "ratio" | "count" as what, field="amount", transform="none"):
            return (what, feature.key, feature.window)
    return ()


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A fitted source of rows, float32[n, F] in the spec's order and units.

    free: columns that are drawn as levels of their `marginals`. values: the codes of each column that is drawn as one of them.
    """

    features: int
    free: NDArray[np.int64]
    values: Values
    derived: tuple[Night | Mean, ...]
    marginals: Sequence[Marginal]
    generator: Generator

    def draw(self, count: int, seed: int) -> NDArray[np.float32]:
        """`count` new rows; the same seed draws the same."""
        drawn = draw_levels(self.generator, count, seed)
        rows = np.zeros((count, self.features), np.float32)
        rows[:, self.free] = from_uniform(self.marginals, drawn[:, : len(self.free)])
        first = len(self.free)
        for column, codes in self.values.items():
            rows[:, column] = drawn[:, first : first + len(codes)] @ np.array(codes, np.float32)
            first += len(codes)
        return self.complete(rows)

    def complete(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[n, F] with the columns that follow from others."""
        for derived in self.derived:
            if isinstance(derived, Night):
                rows[:, derived.column] = rows[:, derived.hour] < NIGHT_ENDS_HOUR
                continue
            ratio = rows[:, derived.ratio]
            if derived.count is not None:
                ratio[rows[:, derived.count] == 1.0] = 1.0
            amount = rows[:, derived.amount]
            rows[:, derived.column] = np.divide(amount, ratio, out=np.zeros_like(amount), where=ratio > 0.0)
        return rows


def fit_synthesis(
    rows: NDArray[np.float32],
    spec: FeatureSpec,
    settings: GanSettings,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> Synthesis:
    """Learn to draw rows like float32[n, F], in the spec's order. Raises ValueError's kinds where there are too few."""
    derived = derived_columns(spec)
    values = present(rows, spec.embedded)
    free = np.setdiff1d(np.arange(rows.shape[1]), [*(d.column for d in derived), *values])
    marginals = fit_marginals(rows[:, free])
    levels = to_uniform(marginals, rows[:, free], np.random.default_rng([seed, 1]))
    flags = [rows[:, [column]] == np.array(codes, np.float32) for column, codes in values.items()]
    learnt = np.concatenate([levels, *flags], axis=1).astype(np.float32)
    sizes = tuple(len(codes) for codes in values.values())
    generator = fit_gan(learnt, settings, seed, device, progress, sizes)
    return Synthesis(rows.shape[1], free, values, derived, marginals, generator)
