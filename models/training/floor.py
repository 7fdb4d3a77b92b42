"""The least that a trained classifier must be worth, or no bundle is written: a constant, a logistic regression."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.bundle.verdict import unfit
from models.networks.encoding import present, with_flags
from models.training.data import Dataset, TrainingError, sampled
from schemas.manifest import Fault, Manifest

ITERATIONS_MAX = 1000
ROWS_MAX = 2_000_000
"""Rows that models of other libraries are fitted on, which hold all of them in memory, most of them as float64."""


def logistic_precision(
    train: Dataset, test: Dataset, chosen: Sequence[int] = (), embedded: Sequence[int] = ()
) -> float:
    """Average precision on `test` of a logistic regression fitted on `train`: on the chosen columns, or on all.

    embedded: columns of codes, read as a flag for each value. Of more than ROWS_MAX rows as many are drawn to fit it.
    """
    train = sampled(train, ROWS_MAX, 0)
    values = present(train.features, embedded)
    of_train, of_test = (
        (part.features[:, list(chosen)] if chosen else with_flags(part.features, values)).astype(np.float64)
        for part in (train, test)
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS_MAX))
    score = model.fit(of_train, train.is_fraud).predict_proba(of_test)[:, 1]
    return float(average_precision_score(test.is_fraud, score))


def check_floor(manifest: Manifest, accepted: Sequence[Fault]) -> None:
    """Raises TrainingError where the figures are below the floor and that is not accepted by name."""
    refused = [objection for objection in unfit(manifest) if objection.fault not in accepted]
    if refused:
        flags = " ".join(f"--accept {objection.fault}" for objection in refused)
        raise TrainingError(
            f"No bundle is written: {'; '.join(objection.sentence for objection in refused)}. Train it longer (--epochs), on "
            f"more rows or another --classifier, or write it all the same with {flags}."
        )
