"""Reasons for alerts: Shapley values of a score, estimated for all alerts of a batch in one extra run of the model.

KernelSHAP (Lundberg, Lee, "A Unified Approach to Interpreting Model Predictions", 2017) with paired coalitions (Covert,
Lee, "Improving KernelSHAP", 2021). The coalitions depend only on the number of features, so the least-squares problem is
solved once, as a matrix; an alert then costs a fixed number of rows and one small product, the same bits in any batch.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.bundle.load import Bundle
from models.scoring.scores import Scores
from schemas.alert import Reason, Trigger

COALITIONS_MAX = 64
"""Rows per alert and background row. Below 2 ** F - 2 the values are estimates; their sum is exact all the same."""

REASONS_MAX = 4
SEED = 0

TIE_DIGITS = 6
"""Contributions equal to so many digits of a score's range are a tie: the rest is rounding."""

UNIT: dict[Trigger, float] = {"probability": 1.0, "anomaly_percentile": 100.0}
"""Full range of each score, by which contributions to different scores compare."""


class Session(Protocol):
    """What `explain` needs of a ModelSession."""

    bundle: Bundle

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score float32[n, F]."""
        ...


@dataclass(frozen=True, slots=True)
class Design:
    """Coalitions of F features and the matrix that turns a score's values at them into Shapley values.

    masks: bool[C, F], True where the feature is the alert's own, else the background's.
    weights: float64[F, C + 1]: Shapley values = weights @ (values above the background's, of each coalition and of all).
    """

    masks: NDArray[np.bool_]
    weights: NDArray[np.float64]


@functools.cache
def design(features: int, coalitions_max: int = COALITIONS_MAX) -> Design:
    """The coalitions for `features` features, F >= 2: all of them if they are few enough, else the heaviest, then a draw.

    Pairs of complements: so all first- and second-order effects are met without sampling error.
    """
    masks, kernel = _coalitions(features, coalitions_max)
    used = masks.astype(np.float64)
    gram_inverse = np.linalg.inv((used * kernel[:, None]).T @ used)
    free = gram_inverse @ (used * kernel[:, None]).T
    # The constraint that the values sum to the whole difference, by one Lagrange multiplier.
    shift = gram_inverse.sum(axis=1) / gram_inverse.sum()
    constrained = free - np.outer(shift, free.sum(axis=0))
    return Design(masks, np.column_stack([constrained, shift]))


def _coalitions(features: int, coalitions_max: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Masks and their weights in the least squares."""
    # Weight of all coalitions of a size together; of one coalition: divided by their number.
    size_weight = {size: (features - 1) / (size * (features - size)) for size in range(1, features)}
    masks: list[NDArray[np.bool_]] = []
    kernel: list[float] = []
    open_sizes = list(range(1, features // 2 + 1))
    while open_sizes:
        size = open_sizes[0]
        both = 1 if 2 * size == features else 2
        if len(masks) + both * comb(features, size) > coalitions_max:
            break
        open_sizes.pop(0)
        for members in combinations(range(features), size):
            mask = np.isin(np.arange(features), members)
            masks += [mask, ~mask][:both]
            kernel += [size_weight[size] / comb(features, size)] * both
    pairs = (coalitions_max - len(masks)) // 2
    if open_sizes and pairs > 0:
        generator = np.random.default_rng(SEED)
        share = np.array([size_weight[size] * (1.0 if 2 * size == features else 2.0) for size in open_sizes])
        sizes = generator.choice(open_sizes, size=pairs, p=share / share.sum())
        for size in sizes:
            mask = np.zeros(features, np.bool_)
            mask[generator.choice(features, size=size, replace=False)] = True
            masks += [mask, ~mask]
        kernel += [share.sum() / (2 * pairs)] * (2 * pairs)
    return np.array(masks), np.array(kernel)


def explain(
    session: Session,
    rows: NDArray[np.float32],
    triggers: Sequence[Sequence[Trigger]],
    coalitions_max: int = COALITIONS_MAX,
) -> list[tuple[Reason, ...]]:
    """The strongest reasons behind each alert, four at most, strongest first; ties go to the earlier feature.

    rows: float32[k, F], the alerts' features; triggers: which scores each crossed, whose contributions are given. Per score
    the contributions of all F features sum to score(row) - mean score(background). One call of `session.run`.
    """
    if not len(rows):
        return []
    background = np.array(session.bundle.reference.background, np.float32)
    plan = design(rows.shape[1], coalitions_max)
    inputs = np.where(plan.masks[None, :, None, :], rows[:, None, None, :], background[None, None, :, :])
    scores = session.run(np.concatenate([inputs.reshape(-1, rows.shape[1]), rows, background]))
    probability, _ = shapley_values(plan, scores.probability, len(rows), len(background))
    values = {
        "probability": probability,
        "anomaly_percentile": _percentile_values(plan, scores, len(rows), len(background)),
    }
    return [
        _strongest(session.bundle, row, {t: values[t][alert] for t in UNIT}, triggers[alert])
        for alert, row in enumerate(rows)
    ]


def _percentile_values(plan: Design, scores: Scores, alerts: int, background: int) -> NDArray[np.float64]:
    """Shapley values of the reconstruction error, in each alert scaled to sum to its percentile's difference.

    Near 100 the percentile is a step, which a bounded number of coalitions estimates badly; the error is smooth, and the
    percentile a function of it alone: the rescale rule of Shrikumar et al., "Learning Important Features Through
    Propagating Activation Differences", 2017.
    """
    values, error_gain = shapley_values(plan, scores.reconstruction_error, alerts, background)
    _, percentile_gain = shapley_values(plan, scores.anomaly_percentile, alerts, background)
    slope = np.divide(percentile_gain, error_gain, out=np.zeros(alerts), where=error_gain != 0.0)
    return np.asarray(values * slope[:, None])


def shapley_values(
    plan: Design, score: NDArray[np.floating[Any]], alerts: int, background: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per alert the values, float64[k, F], and their sum, float64[k]: how far the score is above the background's mean.

    score: of all rows, in order: alerts x coalitions x background, then the alerts, then the background.
    """
    coalitions = alerts * len(plan.masks) * background
    level = score[-background:].astype(np.float64).mean()
    means = score[:coalitions].reshape(alerts, -1, background).astype(np.float64).mean(axis=2)
    gains = np.column_stack([means, score[coalitions : coalitions + alerts]]) - level
    # Sums of one alert at a time: a matrix product's bits could depend on how many alerts share it.
    return np.array([(plan.weights * gain).sum(axis=1) for gain in gains]), gains[:, -1]


def _strongest(
    bundle: Bundle,
    row: NDArray[np.float32],
    values: Mapping[str, NDArray[np.float64]],
    triggers: Sequence[Trigger],
) -> tuple[Reason, ...]:
    """The factors that raised the scores most, in parts of each score's range; a tie goes to the earlier feature."""
    ranked = sorted(
        (-round(float(contribution) / UNIT[trigger], TIE_DIGITS), feature, trigger)
        for trigger in triggers
        for feature, contribution in enumerate(values[trigger])
    )
    return tuple(
        Reason(
            feature=bundle.manifest.feature_spec.names[feature],
            value=float(row[feature]),
            contribution=float(values[trigger][feature]),
            score=trigger,
            text=_text(bundle, feature, float(row[feature])),
        )
        for strength, feature, trigger in ranked[:REASONS_MAX]
        if strength < 0
    )


def _text(bundle: Bundle, feature: int, value: float) -> str:
    """The feature in words, its value, and what is typical."""
    declared = bundle.manifest.feature_spec.features[feature]
    typical = declared.value_words(bundle.reference.features[feature].median)
    return f"{declared.words()}: {declared.value_words(value)} (typical: {typical})"
