"""Reasons for alerts: Shapley values of a score, estimated for all alerts of a batch in one extra run of the model; for those
that the probability alone raised, of the part of the graph that makes it.

KernelSHAP (Lundberg, Lee, "A Unified Approach to Interpreting Model Predictions", 2017) with paired coalitions (Covert,
Lee, "Improving KernelSHAP", 2021). The coalitions depend only on the number of features, so the least-squares problem is
solved once, as a matrix; an alert then costs a bounded number of rows and one small product, the same bits in any batch.
Where trees alone make the probability, its values are exact and take no rows: `tree_reasons`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.bundle.load import Bundle
from models.scoring.scores import Scores
from models.scoring.tree_reasons import LeafBoxes
from schemas.alert import Reason, Trigger

EXACT_FEATURES_MAX = 8
"""Where no more features than this differ from the background's, all coalitions are tried and the values are exact."""

COALITIONS = 128
"""Coalitions tried of more features: then the values are estimates; their sum is exact all the same."""

COALITIONS_PER_FEATURE = 4
"""With very many features more are tried: at least twice their number, or the values are not determined."""

REASONS_MAX = 4
SEED = 0

TIE_DIGITS = 6
"""Contributions equal to so many digits of a score's range are a tie: the rest is rounding."""

UNIT: dict[Trigger, float] = {"probability": 1.0, "anomaly_percentile": 100.0}
"""Full range of each score, by which contributions to different scores compare."""


class Session(Protocol):
    """What `explain` needs of a ModelSession."""

    bundle: Bundle
    trees: LeafBoxes | None

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score float32[n, F]."""
        ...

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """That of `run` alone, float32[n]."""
        ...


Answer = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]
"""The columns of `Scores`, or the first of them alone, float32[n] each, of float32[n, F]."""


@dataclass(frozen=True, slots=True)
class Design:
    """Coalitions of F features and the matrix that turns a score's values at them into Shapley values.

    masks: bool[C, F], True where the feature is the alert's own, else the background's.
    weights: float64[F, C + 1]: Shapley values = weights @ (values above the background's, of each coalition and of all).
    """

    masks: NDArray[np.bool_]
    weights: NDArray[np.float64]


def coalitions_max(features: int) -> int:
    """Rows of the model that a row with `features` features unlike the background's takes for each background row."""
    if features <= EXACT_FEATURES_MAX:
        return max(0, (1 << features) - 2)
    return max(COALITIONS, COALITIONS_PER_FEATURE * features)


def rows_like(bundle: Bundle, triggers: Sequence[Sequence[Trigger]]) -> int:
    """Rows of the whole graph that take as long as `explain` of these alerts: one by the probability alone counts half."""
    alone = sum("anomaly_percentile" not in crossed for crossed in triggers)
    return rows_max(bundle, len(triggers)) - rows_max(bundle, alone) // 2


def rows_max(bundle: Bundle, alerts: int) -> int:
    """Rows of the model that `explain` takes for so many alerts, at most."""
    background = len(bundle.reference.background)
    return alerts * (coalitions_max(len(bundle.manifest.feature_spec.names)) * background + 1) + 2 * background


@functools.cache
def design(features: int, coalitions: int | None = None) -> Design:
    """The coalitions of `features` features: all of them if they are few, else the heaviest sizes, then a seeded draw.

    Pairs of complements: so all first- and second-order effects are met without sampling error. One feature alone has no
    coalition but itself, and none has nothing. coalitions: how many at most, instead of `coalitions_max`.
    """
    if features < 2:
        return Design(np.zeros((0, features), np.bool_), np.ones((features, 1)))
    masks, kernel = _coalitions(features, coalitions or coalitions_max(features))
    used = masks.astype(np.float64)
    gram_inverse = np.linalg.inv((used * kernel[:, None]).T @ used)
    free = gram_inverse @ (used * kernel[:, None]).T
    # The constraint that the values sum to the whole difference, by one Lagrange multiplier.
    shift = gram_inverse.sum(axis=1) / gram_inverse.sum()
    constrained = free - np.outer(shift, free.sum(axis=0))
    return Design(masks, np.column_stack([constrained, shift]))


def _coalitions(features: int, most: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Masks and their weights in the least squares."""
    # Weight of all coalitions of a size together; of one coalition: divided by their number.
    size_weight = {size: (features - 1) / (size * (features - size)) for size in range(1, features)}
    masks: list[NDArray[np.bool_]] = []
    kernel: list[float] = []
    open_sizes = list(range(1, features // 2 + 1))
    while open_sizes:
        size = open_sizes[0]
        both = 1 if 2 * size == features else 2
        if len(masks) + both * comb(features, size) > most:
            break
        open_sizes.pop(0)
        for members in combinations(range(features), size):
            mask = np.isin(np.arange(features), members)
            masks += [mask, ~mask][:both]
            kernel += [size_weight[size] / comb(features, size)] * both
    pairs = (most - len(masks)) // 2
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
    coalitions: int | None = None,
) -> list[tuple[Reason, ...]]:
    """The strongest reasons behind each alert, four at most, strongest first; ties go to the earlier feature.

    rows: float32[k, F], the alerts' features; triggers: which scores each crossed, whose contributions are given. Per score
    the contributions of all F features sum to score(row) - mean score(background).
    coalitions: a limit instead of `coalitions_max`.
    """
    if not len(rows):
        return []
    background = np.array(session.bundle.reference.background, np.float32)
    values = contributions(session.run, rows, background, coalitions, session.trees, triggers, session.probability)
    return [
        _strongest(session.bundle, row, ranked({t: values[t][alert] for t in triggers[alert]}))
        for alert, row in enumerate(rows)
    ]


def contributions(
    run: Callable[[NDArray[np.float32]], Scores],
    rows: NDArray[np.float32],
    background: NDArray[np.float32],
    coalitions: int | None = None,
    trees: LeafBoxes | None = None,
    triggers: Sequence[Sequence[Trigger]] | None = None,
    probability: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> dict[Trigger, NDArray[np.float64]]:
    """Shapley values of both scores, float64[k, F] each, of rows float32[k, F] against background float32[B, F].

    A feature with the background's own value counts 0, exactly, and takes no part in the coalitions: so the fewer features
    differ, the better the rest is known. `run` and `probability` are called once each, at most, with k * (coalitions_max(F) *
    B + 1) + 2 * B rows between them. coalitions: a limit instead of `coalitions_max`. trees: those that alone make the
    probability. triggers: the scores that are asked for, per row; by default both. What is not asked for is 0 where it would
    cost more. probability: that of `run` alone, which costs less: for the rows of which the percentile is not asked.
    """
    asked = [tuple(UNIT) if triggers is None else triggers[row] for row in range(len(rows))]
    anomalies = np.array(["anomaly_percentile" in scores for scores in asked], np.bool_)
    values: dict[Trigger, NDArray[np.float64]] = {t: np.zeros(rows.shape, np.float64) for t in UNIT}
    parts: list[tuple[Answer, NDArray[np.bool_]]] = [(run, np.ones_like(anomalies))]
    if probability is not None:
        parts = [(lambda matrix: (probability(matrix),), ~anomalies), (run, anomalies)]
    for answer, part in parts:
        if (chosen := np.flatnonzero(part)).size:
            found = _contributions(answer, rows[chosen], background, coalitions, trees, anomalies[chosen])
            for trigger, column in zip(UNIT, found, strict=False):
                values[trigger][chosen] = column
    return values


def _contributions(
    answer: Answer,
    rows: NDArray[np.float32],
    background: NDArray[np.float32],
    coalitions: int | None,
    trees: LeafBoxes | None,
    anomalies: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], ...]:
    """Those to the probability, float64[k, F], and to the percentile where the answer has it, by one call of `answer`.

    anomalies: bool[k], of which rows the percentile is asked: with trees the others are not estimated.
    """
    different = [np.flatnonzero((row != background).any(axis=0)) for row in rows]
    estimated = anomalies | (trees is None)
    plans = [design(len(features), coalitions) for features in different]
    blocks = [
        _coalition_rows(row, features, plan, background)
        for row, features, plan, wanted in zip(rows, different, plans, estimated, strict=True)
        if wanted
    ]
    columns = answer(np.concatenate([*blocks, rows, background]))
    values = tuple(np.zeros(rows.shape, np.float64) for _ in columns[:2])
    whole, level, start = sum(len(block) for block in blocks), slice(-len(background), None), 0
    for alert, (features, plan) in enumerate(zip(different, plans, strict=True)):
        here = slice(start, start + len(plan.masks) * len(background) if estimated[alert] else start)
        start = here.stop
        of_probability, *of_anomaly = (gains(column[here], column[whole + alert], column[level]) for column in columns)
        if trees is not None:
            values[0][alert] = _of_trees(trees, rows[alert], background, float(of_probability[-1]))
        else:
            values[0][alert, features] = shapley_values(plan, of_probability)
        if of_anomaly and estimated[alert]:
            of_error, of_percentile = of_anomaly
            values[1][alert, features] = _percentile_values(plan, of_error, float(of_percentile[-1]))
    return values


def _of_trees(
    trees: LeafBoxes, row: NDArray[np.float32], background: NDArray[np.float32], gain: float
) -> NDArray[np.float64]:
    """Shapley values of the trees' own answer, float64[F], scaled to sum to the probability's difference: the rescale rule, as
    for the percentile.
    """
    raw: NDArray[np.float64] = np.zeros(len(row), np.float64)
    for other in background:
        raw += trees.contributions(row, other) / len(background)
    whole = float(raw.sum())
    return raw * (gain / whole if whole != 0.0 else 0.0)


def _coalition_rows(
    row: NDArray[np.float32], features: NDArray[np.intp], plan: Design, background: NDArray[np.float32]
) -> NDArray[np.float32]:
    """float32[C * B, F]: each background row with the coalition's features taken from `row`, coalition by coalition."""
    masks = np.zeros((len(plan.masks), len(row)), np.bool_)
    masks[:, features] = plan.masks
    return np.where(masks[:, None, :], row, background).reshape(-1, len(row))


def gains(
    coalitions: NDArray[np.floating[Any]], whole: np.floating[Any], background: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """float64[C + 1]: how far each coalition's score, and the row's own, is above the background's; means over it.

    coalitions: [C * B], coalition by coalition; whole: the row's own score; background: [B].
    """
    level = background.astype(np.float64).mean()
    means = coalitions.reshape(-1, len(background)).astype(np.float64).mean(axis=1)
    above: NDArray[np.float64] = np.append(means, float(whole)) - level
    return above


def shapley_values(plan: Design, gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[F], of one score's `gains` at one row; they sum to the last of these, the whole.

    A sum of one row at a time: a matrix product's bits could depend on how many rows share it.
    """
    values: NDArray[np.float64] = (plan.weights * gain).sum(axis=1)
    return values


def _percentile_values(plan: Design, of_error: NDArray[np.float64], percentile_gain: float) -> NDArray[np.float64]:
    """Shapley values of the reconstruction error, scaled to sum to the percentile's difference.

    Near 100 the percentile is a step, which a bounded number of coalitions estimates badly; the error is smooth, and the
    percentile a function of it alone: the rescale rule of Shrikumar et al., "Learning Important Features Through
    Propagating Activation Differences", 2017.
    """
    error_gain = float(of_error[-1])
    slope = percentile_gain / error_gain if error_gain != 0.0 else 0.0
    return np.asarray(shapley_values(plan, of_error) * slope)


def ranked(values: Mapping[Trigger, NDArray[np.float64]]) -> list[tuple[int, Trigger, float]]:
    """The factors that raised the scores most: feature, score and contribution; REASONS_MAX at most, strongest first.

    values: float64[F] per score; they compare as parts of the score's range. A tie goes to the earlier feature, and of one
    feature to the score first in the alphabet.
    """
    order = sorted(
        (-round(float(contribution) / UNIT[trigger], TIE_DIGITS), feature, trigger)
        for trigger, column in values.items()
        for feature, contribution in enumerate(column)
    )
    return [
        (feature, trigger, float(values[trigger][feature]))
        for strength, feature, trigger in order[:REASONS_MAX]
        if strength < 0
    ]


def _strongest(
    bundle: Bundle, row: NDArray[np.float32], factors: Sequence[tuple[int, Trigger, float]]
) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            feature=bundle.manifest.feature_spec.names[feature],
            value=float(row[feature]),
            contribution=contribution,
            score=trigger,
            text=_text(bundle, feature, float(row[feature])),
        )
        for feature, trigger, contribution in factors
    )


def _text(bundle: Bundle, feature: int, value: float) -> str:
    """The feature in words, its value, and what is typical."""
    described = bundle.manifest.feature_spec.features[feature]
    typical = described.value_words(bundle.reference.features[feature].median)
    return f"{described.words()}: {described.value_words(value)} (typical: {typical})"
