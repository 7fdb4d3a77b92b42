"""What a bank would try first, on the same rows and features: logistic regression, a random forest, XGBoost."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.networks.encoding import present, with_flags
from models.training.data import Dataset
from models.training.progress import Progress, silent

LOGISTIC, FOREST, XGBOOST = "logistic regression", "random forest", "XGBoost"
JOBS = 2


def baselines(seed: int) -> dict[str, object]:
    """Unfitted models by name, with the handbook's settings. XGBoost only where it is installed (extra `bench`).

    XGBoost: exact splits from a base score of 0.5, as in the version that the handbook used. Today's defaults start at the
    share of frauds, where each row's second derivative is so small that `min_child_weight` forbids most splits: on the
    handbook's data average precision 0.56 instead of 0.64.
    """
    models: dict[str, object] = {
        LOGISTIC: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        FOREST: RandomForestClassifier(100, random_state=seed, n_jobs=JOBS),
    }
    try:
        from xgboost import XGBClassifier
    except ModuleNotFoundError:
        return models
    return models | {
        XGBOOST: XGBClassifier(tree_method="exact", base_score=0.5, random_state=seed, n_jobs=1),
    }


def baseline_scores(
    train: Dataset, test: Dataset, seed: int, progress: Progress = silent, embedded: Sequence[int] = ()
) -> dict[str, NDArray[np.float32]]:
    """Probabilities of the rows of `test`, float32[n], by each baseline fitted on `train`.

    embedded: columns of codes, which the baselines read as a flag for each value.
    """
    scores: dict[str, NDArray[np.float32]] = {}
    models, values = baselines(seed), present(train.features, embedded)
    of_train, of_test = with_flags(train.features, values), with_flags(test.features, values)
    for done, (name, model) in enumerate(models.items(), 1):
        model.fit(of_train, train.is_fraud)  # type: ignore[attr-defined]
        scores[name] = model.predict_proba(of_test)[:, 1].astype(np.float32)  # type: ignore[attr-defined]
        progress("baselines", done, len(models))
    return scores
