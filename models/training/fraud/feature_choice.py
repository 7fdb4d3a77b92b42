"""The few features that a reference network reads: forward selection, by what each adds to the average precision."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from sklearn.tree import DecisionTreeClassifier

from models.training.data import Dataset
from models.training.progress import Progress, silent

LEGITIMATE_PER_FRAUD = 10
ROWS_MAX = 20_000
LEAVES, ROWS_OF_A_LEAF = 64, 20


def choose_features(
    train: Dataset,
    validation: Dataset,
    count: int,
    seed: int,
    progress: Progress = silent,
    left_out: Collection[int] = (),
) -> tuple[int, ...]:
    """`count` columns in the order they were chosen; all of them where there are fewer. left_out: are not chosen.

    Each step takes the feature with which a decision tree of 64 leaves has the highest average precision on `validation`. It
    is fitted on all frauds of `train` and ten other payments to each, 20,000 rows at most.
    """
    features = [column for column in range(train.features.shape[1]) if column not in left_out]
    if len(features) <= count:
        return tuple(features)
    rows = _sample(train.is_fraud, np.random.default_rng(seed))
    inputs, truth = train.features[rows], train.is_fraud[rows]
    chosen: list[int] = []
    while len(chosen) < count:
        precisions = {}
        for feature in set(features) - set(chosen):
            columns = [*chosen, feature]
            tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=ROWS_OF_A_LEAF, random_state=seed)
            tree.fit(inputs[:, columns], truth)
            score = tree.predict_proba(validation.features[:, columns])[:, 1]
            precisions[feature] = average_precision_score(validation.is_fraud, score)
        chosen.append(max(sorted(precisions), key=lambda feature: precisions[feature]))
        progress("chosen features", len(chosen), count)
    return tuple(chosen)


def _sample(is_fraud: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.int64]:
    """All frauds and some of the rest, in order."""
    frauds = np.flatnonzero(is_fraud)
    frauds = random.permutation(frauds)[: ROWS_MAX // (1 + LEGITIMATE_PER_FRAUD)]
    others = random.permutation(np.flatnonzero(~is_fraud))[: LEGITIMATE_PER_FRAUD * len(frauds)]
    return np.sort(np.concatenate([frauds, others]))
