"""Values of categories taken from a training cut: counted, numbered and written into the feature spec, which then computes
alone, with the same bits in training, files and stream.

Rates are of labels. So the rows that a model is fitted on read rates of other cards' rows (`cross_fitted`): with its own label
in its own input, a network would trust a rare value more than any later payment bears out.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.derived import derive
from schemas.feature_kinds.event import CategoryFeature, CategoryValue, Learn
from schemas.feature_spec import FeatureSpec

MISSING, OTHER, FIRST = 0, 1, 2
"""Codes of an embedding; from FIRST on the values, the commonest first."""

FOLDS = 5
DIGITS = 9
"""Of a share: more say nothing, and are longer in the spec."""

Bools = NDArray[np.bool_]


def texts_of(spec: FeatureSpec, columns: TransactionColumns) -> dict[int, Sequence[str]]:
    """The texts of each learnt category, by column of the spec; NO_VALUE where there is none."""
    made = derive(spec)
    ids = columns.ids if made is None else made(columns).ids
    return {place: ids[one.attribute] for place, one in enumerate(spec.features) if _learns(one)}


def learnt(spec: FeatureSpec, texts: dict[int, Sequence[str]], is_fraud: Bools) -> FeatureSpec:
    """The spec with the values of its open categories. texts, is_fraud: of the training cut alone, as `texts_of` has them."""
    features = list(spec.features)
    for place, feature in enumerate(features):
        if isinstance(feature, CategoryFeature) and feature.is_open and feature.learn is not None:
            features[place] = _learnt(feature, feature.learn, texts[place], is_fraud)
    # validated as from a file: what is learnt obeys the spec's bounds
    return FeatureSpec.model_validate_json(spec.model_copy(update={"features": tuple(features)}).model_dump_json())


def cross_fitted(
    spec: FeatureSpec, texts: dict[int, Sequence[str]], is_fraud: Bools, card: NDArray[np.int64]
) -> dict[int, NDArray[np.float32]]:
    """float32[n] for each category that reads rates: of each row, the rates that the rows of other cards have."""
    fold, found = card % FOLDS, {}
    for place, feature in enumerate(spec.features):
        if not _learns(feature) or feature.learn is None or feature.learn.encode != "rate":
            continue
        names = [*feature.values, NO_VALUE]
        numbers = {name: number for number, name in enumerate(names)}
        which = np.array([numbers.get(text, len(names)) for text in texts[place]], np.int64)
        column = np.zeros(len(which), np.float32)
        for number in range(FOLDS):
            rest = fold != number
            counts = np.bincount(which[rest], minlength=len(names) + 1)
            frauds = np.bincount(which[rest & is_fraud], minlength=len(names) + 1)
            column[~rest] = _rates(counts, frauds, feature.learn.smoothing)[which[~rest]]
        found[place] = column
    return found


def _learns(feature: object) -> TypeGuard[CategoryFeature]:
    return isinstance(feature, CategoryFeature) and feature.learn is not None


def _learnt(feature: CategoryFeature, learn: Learn, texts: Sequence[str], is_fraud: Bools) -> CategoryFeature:
    counts = Counter(texts)
    lacking = counts.pop(NO_VALUE, 0)
    common = sorted(counts, key=lambda name: (-counts[name], name))[: learn.values_max]
    names = [name for name in common if counts[name] >= learn.count_min]
    rare = len(texts) - lacking - sum(counts[name] for name in names)
    if learn.encode == "embedding":
        numbers = [float(FIRST + place) for place in range(len(names))] + [float(OTHER), float(MISSING)]
    else:
        parts = np.array([*(counts[name] for name in names), rare, lacking], np.int64)
        if learn.encode == "frequency":
            # a value that is not named is about as good as never seen
            shares = parts / max(1, len(texts))
            shares[-2] = 0.0
        else:
            of_frauds = Counter(text for text, fraud in zip(texts, is_fraud.tolist(), strict=True) if fraud)
            known = [of_frauds[name] for name in names]
            of_rare = of_frauds.total() - sum(known) - of_frauds[NO_VALUE]
            shares = _rates(parts, np.array([*known, of_rare, of_frauds[NO_VALUE]], np.int64), learn.smoothing)
        numbers = [round(float(share), DIGITS) for share in shares]
    values = {name: CategoryValue(number=number) for name, number in zip(names, numbers, strict=False)}
    other = CategoryValue(number=numbers[-2], words="another value")
    return feature.model_copy(update={"values": values, "other": other, "missing": numbers[-1]})


def _rates(counts: NDArray[np.int64], frauds: NDArray[np.int64], smoothing: float) -> NDArray[np.float64]:
    """Share of frauds of each value, drawn towards that of all; of what never came, that of all."""
    whole = float(frauds.sum()) / max(1, int(counts.sum()))
    weights = counts + smoothing
    return np.where(weights > 0, (frauds + smoothing * whole) / np.maximum(weights, 1e-9), whole)
