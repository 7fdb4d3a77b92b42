"""How a credit model treats groups of people by grounds that it never reads: approvals, and approvals of those who repay.

Equal opportunity: Hardt, Price, Srebro, "Equality of Opportunity in Supervised Learning", 2016.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.training.bootstrap import estimate
from schemas.evaluation import Estimate
from schemas.feature_kinds.event import AttributeFeature, CategoryFeature
from schemas.feature_spec import FeatureSpec

DRAWS = 500

GROUP_MIN = 50
"""Smaller groups are left out: their figures are chance."""

AGES = (26.0, 41.0, 61.0)
"""First years of age of the second group and of those after it."""


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One group. approved: share of its applicants. opportunity: the same of those of them who repaid.

    less_others: the approved share less that of everyone else; opportunity_less_others likewise. defaults: share of the
    group's approved who defaulted.
    """

    ground: str
    group: str
    applicants: int
    approved: Estimate
    less_others: Estimate
    opportunity: Estimate
    opportunity_less_others: Estimate
    defaults: float


def groups(spec: FeatureSpec, features: NDArray[np.float32]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Ground, group, and bool[n] of its rows, for each protected feature of float32[n, F]."""
    for place, feature in enumerate(spec.features):
        if not isinstance(feature, AttributeFeature) or not feature.protected:
            continue
        column = features[:, place]
        if isinstance(feature, CategoryFeature):
            for value in np.unique(column):
                known = (*feature.values.values(), *((feature.other,) if feature.other else ()))
                words = "; or ".join(one.words or "" for one in known if one.number == value)
                yield feature.words(), words or f"{value:g}", column == value
        else:
            limits = (-np.inf, *AGES, np.inf)
            for low, high in pairwise(limits):
                words = f"from {low:g}" if np.isfinite(low) else ""
                words += f" below {high:g}" if np.isfinite(high) else ""
                yield feature.words(), words.strip(), (column >= low) & (column < high)


def approvals(scores: Sequence[NDArray[np.float32]], truths: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """bool[n] over all folds: in each, as many of the riskiest are declined as defaulted."""
    parts = []
    for score, truth in zip(scores, truths, strict=True):
        declined = np.zeros(len(score), np.bool_)
        declined[np.argsort(-score, kind="stable")[: int(truth.sum())]] = True
        parts.append(~declined)
    return np.concatenate(parts)


def fairness(
    spec: FeatureSpec,
    features: NDArray[np.float32],
    approved: NDArray[np.bool_],
    defaulted: NDArray[np.bool_],
    seed: int,
) -> tuple[GroupResult, ...]:
    """Every group of at least GROUP_MIN applicants who repaid, with 95 % intervals by drawing the applicants."""
    random, rows_all = np.random.default_rng(seed), len(approved)
    drawn = np.ones((1 + DRAWS, rows_all), np.float32)
    for draw in range(1, 1 + DRAWS):
        drawn[draw] = np.bincount(random.integers(0, rows_all, rows_all), minlength=rows_all)
    found = []
    for ground, group, rows in groups(spec, features):
        repaid = ~defaulted
        if (rows & repaid).sum() < GROUP_MIN or (~rows & repaid).sum() < GROUP_MIN:
            continue
        ours, others = (_share(drawn, approved, part) for part in (rows, ~rows))
        ours_repaid, others_repaid = (_share(drawn, approved, part & repaid) for part in (rows, ~rows))
        found.append(
            GroupResult(
                ground=ground,
                group=group,
                applicants=int(rows.sum()),
                approved=estimate(ours),
                less_others=estimate(ours - others),
                opportunity=estimate(ours_repaid),
                opportunity_less_others=estimate(ours_repaid - others_repaid),
                defaults=float(defaulted[rows & approved].mean()),
            )
        )
    return tuple(found)


def _share(drawn: NDArray[np.float32], approved: NDArray[np.bool_], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of the rows, in each draw: float64[1 + DRAWS]."""
    of_approved, of_all = (drawn @ part.astype(np.float32) for part in (rows & approved, rows))
    return np.asarray(of_approved, np.float64) / of_all
