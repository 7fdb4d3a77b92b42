"""Values of an application's categories, taken from the part that a credit bundle is trained on: as for payments."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.features.attributes import Attributes, category
from models.features.columns import NO_VALUE
from models.features.learnt import cross_fitted, learnt
from models.training.credit.data import credit_dataset, stratified_split
from models.training.data import Dataset
from schemas.feature_kinds.event import CategoryFeature, CategoryValue
from schemas.feature_spec import FeatureSpec

ANYTHING = CategoryValue(number=0.0)


def taught(
    spec: FeatureSpec, attributes: Sequence[Attributes], defaulted: NDArray[np.bool_], seed: int
) -> tuple[FeatureSpec, Dataset, int]:
    """The spec with the values of its open categories, the applications that the stream would take, and how many it would not.

    Rates that the training part's rows read are of other rows of it. seed: of the split, which depends on the labels alone.
    Raises TrainingError.
    """
    if not spec.open_categories:
        data, problems = credit_dataset(spec, attributes, defaulted)
        return spec, data, len(problems)
    # a learnt category takes any value and none, so which applications are usable is known before it is learnt
    usable, problems = credit_dataset(_taking_anything(spec), attributes, defaulted)
    train = stratified_split(usable, seed).train
    kept = np.delete(np.arange(len(attributes)), list(problems))[train.card]
    texts: dict[int, Sequence[str]] = {
        place: [_text(attributes[row].get(feature.attribute)) for row in kept.tolist()]
        for place, feature in enumerate(spec.features)
        if isinstance(feature, CategoryFeature) and feature.learn is not None
    }
    spec = learnt(_of_defaults(spec), texts, train.is_fraud)
    data, problems = credit_dataset(spec, attributes, defaulted)
    features = data.features.copy()
    for place, column in cross_fitted(spec, texts, train.is_fraud, train.card).items():
        features[train.card, place] = column
    return spec, replace(data, features=features), len(problems)


def _text(value: float | bool | str | None) -> str:
    return NO_VALUE if value is None else category(value)


def _taking_anything(spec: FeatureSpec) -> FeatureSpec:
    closed = {"learn": None, "values": {"": ANYTHING}, "other": ANYTHING, "missing": 0.0}
    features = (f.model_copy(update=closed) if f.name in spec.open_categories else f for f in spec.features)
    return spec.model_copy(update={"features": tuple(features)})


def _of_defaults(spec: FeatureSpec) -> FeatureSpec:
    """What is learnt says, in words, what its rates are of."""
    features = tuple(
        feature.model_copy(update={"learn": feature.learn.model_copy(update={"outcome": "defaults"})})
        if isinstance(feature, CategoryFeature) and feature.learn is not None
        else feature
        for feature in spec.features
    )
    return spec.model_copy(update={"features": features})
