"""What a bank would try first, on the same rows and features: with labels, and without any."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.networks.encoding import present, with_flags
from models.training.data import Dataset
from models.training.progress import Progress, silent
from models.training.workers import Work
from schemas.evaluation import UNSUPERVISED

LOGISTIC, FOREST, XGBOOST = "logistic regression", "random forest", "XGBoost"
BOOK_XGBOOST = "XGBoost, the book's grid"
ISOLATION_FOREST, ECOD = f"isolation forest{UNSUPERVISED}", f"ECOD{UNSUPERVISED}"
JOBS, TREES = 2, 100
ANOMALY_STAGE = "anomaly baselines"


def baselines(seed: int) -> dict[str, object]:
    """Unfitted models by name, with the handbook's settings. XGBoost only where it is installed (extra `bench`).

    XGBoost: exact splits from a base score of 0.5, as in the version that the handbook used. Today's defaults start at the
    share of frauds, where each row's second derivative is so small that `min_child_weight` forbids most splits: on the
    handbook's data average precision 0.56 instead of 0.64. The book's grid chooses 50 trees of depth 3 at a rate of 0.3.
    """
    models: dict[str, object] = {
        LOGISTIC: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        FOREST: RandomForestClassifier(TREES, random_state=seed, n_jobs=JOBS),
    }
    try:
        from xgboost import XGBClassifier
    except ModuleNotFoundError:
        return models
    return models | {
        XGBOOST: XGBClassifier(tree_method="exact", base_score=0.5, random_state=seed, n_jobs=1),
        BOOK_XGBOOST: XGBClassifier(
            n_estimators=50, max_depth=3, learning_rate=0.3, base_score=0.5, random_state=seed, n_jobs=1
        ),
    }


FOREST_PARTS = tuple(f"{FOREST}, part {number}" for number in (1, 2, 3, 4))
"""It takes as long as all others together, so it is grown in parts beside each other."""


def baseline_works(
    train: Dataset, test: Dataset, seed: int, embedded: Sequence[int] = ()
) -> dict[str, Work[NDArray[np.float32]]]:
    """For each baseline its fit on `train`, to probabilities of the rows of `test`, float32[n]; the slowest first.

    embedded: columns of codes, which the baselines read as a flag for each value. `of_parts` makes one forest of its parts.
    """
    known = [
        name for name in (*FOREST_PARTS, XGBOOST, BOOK_XGBOOST, LOGISTIC) if name in {*FOREST_PARTS, *baselines(seed)}
    ]
    return {name: partial(_baseline, train, test, seed, embedded, name) for name in known}


def of_parts(found: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """What `baseline_works` found, the forest's parts as one."""
    whole = np.asarray(np.mean([found[name] for name in FOREST_PARTS], axis=0, dtype=np.float64))
    others = {name: scores for name, scores in found.items() if name not in FOREST_PARTS}
    return {FOREST: whole.astype(np.float32), **others}


def _baseline(
    train: Dataset, test: Dataset, seed: int, embedded: Sequence[int], name: str, progress: Progress
) -> NDArray[np.float32]:
    """One core: so a sum of trees is in their order, and other fits have the other cores."""
    progress(name, 0, 1)
    values = present(train.features, embedded)
    model: Any = _part(seed, FOREST_PARTS.index(name)) if name in FOREST_PARTS else baselines(seed)[name]
    model.fit(with_flags(train.features, values), train.is_fraud)
    scores = model.predict_proba(with_flags(test.features, values))[:, 1].astype(np.float32)
    progress(name, 1, 1)
    return np.asarray(scores)


def _part(seed: int, number: int) -> RandomForestClassifier:
    """The trees that the forest of this seed would have at these places: each takes one number for its own seed."""
    trees = TREES // len(FOREST_PARTS)
    state = np.random.RandomState(seed)
    state.randint(np.iinfo(np.int32).max, size=number * trees)
    return RandomForestClassifier(trees, random_state=state, n_jobs=1)


def unsupervised_scores(
    train: NDArray[np.float32], test: NDArray[np.float32], seed: int, progress: Progress = silent
) -> dict[str, NDArray[np.float32]]:
    """How odd each row of `test` is, float32[n], to what knows no label. train, test: float32[n, F]."""
    progress(ANOMALY_STAGE, 0, 2)
    scale = StandardScaler().fit(train)
    forest = IsolationForest(n_estimators=100, random_state=seed, n_jobs=1).fit(scale.transform(train))
    scores = {ISOLATION_FOREST: -forest.score_samples(scale.transform(test))}
    progress(ANOMALY_STAGE, 1, 2)
    scores[ECOD] = ecod(train, test)
    progress(ANOMALY_STAGE, 2, 2)
    return {name: score.astype(np.float32) for name, score in scores.items()}


def ecod(train: NDArray[np.float32], test: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64[n]: how far out each row's features lie by their empirical distributions in `train`, each on its own.

    Li, Zhao, Hu, Botta, Ionescu, Chen, "ECOD: Unsupervised Outlier Detection Using Empirical Cumulative Distribution
    Functions", 2022. The largest of three sums of -log tail probabilities: lower tails, upper tails, and of each feature the
    tail to which it is skewed. A value beyond all of `train` counts as one row of it.
    """
    lower, upper, skewed = (np.zeros(len(test)) for _ in range(3))
    for column, asked in zip(train.T, test.T, strict=True):
        known = np.sort(column)
        at_or_below = np.searchsorted(known, asked, "right")
        at_or_above = len(known) - np.searchsorted(known, asked, "left")
        low, high = (-np.log(np.maximum(count, 1) / len(known)) for count in (at_or_below, at_or_above))
        lower, upper = lower + low, upper + high
        deviation = column - column.mean(dtype=np.float64)
        skewed += low if (deviation**3).sum() < 0.0 else high
    return np.maximum(np.maximum(lower, upper), skewed)
