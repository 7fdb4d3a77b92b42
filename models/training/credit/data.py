"""Labelled applications as features, and their split: by chance and by label, since these data have no time."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit

from models.features.attributes import AttributeMapping, Value
from models.training.data import Dataset, Split, TrainingError
from schemas.feature_spec import FeatureSpec

VALIDATION_SHARE, TEST_SHARE = 0.2, 0.2
ROWS_MIN = 100
CLASS_MIN = 25
"""Of each class: the validation and test parts then hold five."""


def credit_dataset(
    spec: FeatureSpec, attributes: Sequence[Mapping[str, Value]], defaulted: NDArray[np.bool_]
) -> tuple[Dataset, dict[int, str]]:
    """The applications that the stream would accept, and by place why it would not take the others.

    Every application is of another applicant and of the same day. Raises TrainingError where too few are left, with the
    reason of the first that was refused.
    """
    features, problems = AttributeMapping(spec).matrix(attributes)
    kept = np.ones(len(attributes), np.bool_)
    kept[list(problems)] = False
    truth = defaulted[kept]
    defaults = int(truth.sum())
    if len(truth) < ROWS_MIN or min(defaults, len(truth) - defaults) < CLASS_MIN:
        why = f" ({len(problems):,} were refused: {next(iter(problems.values()))})" if problems else ""
        raise TrainingError(
            f"{len(truth):,} usable applications{why}, {defaults:,} of them defaulted, are not enough: give {ROWS_MIN} at "
            f"least, with {CLASS_MIN} that defaulted and {CLASS_MIN} that were repaid."
        )
    return dataset(features, truth), problems


def dataset(features: NDArray[np.float32], truth: NDArray[np.bool_]) -> Dataset:
    """Rows without cards, days and scenarios, as the trainer takes them: a default is its positive class."""
    rows = len(truth)
    return Dataset(features, np.arange(rows), np.zeros(rows, np.int64), truth, np.zeros(rows, np.int8))


def stratified(data: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """The rest and a part of `share` of the rows, each with the same share of defaults."""
    cut = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
    rest, part = next(cut.split(data.features, data.is_fraud))
    return data[rest], data[part]


def stratified_split(data: Dataset, seed: int) -> Split:
    """60 % to train on, 20 % to stop, calibrate and choose thresholds by, 20 % to test on."""
    rest, test = stratified(data, TEST_SHARE, seed)
    train, validation = stratified(rest, VALIDATION_SHARE / (1.0 - TEST_SHARE), seed)
    return Split(train, validation, test)
