"""How like real rows synthetic ones are, and whether they are real rows learnt by heart.

Detection: can a classifier separate them. Marginals, correlations: what a chart would show. Nearest distances: privacy, after
the distance to closest record (Park et al., "Data Synthesis based on Generative Adversarial Networks", 2018).
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

FOLDS = 5
ROWS_MAX = 4_000
"""Rows of each kind that are compared: the figures settle long before, the neighbours' search does not."""


def quality(
    real: NDArray[np.float32], held_out: NDArray[np.float32], synthetic: NDArray[np.float32], seed: int
) -> dict[str, float]:
    """Every figure by name, for float32[·, F] in the same columns.

    real: the generator's own training rows. held_out: real rows that it has not seen; what they score beside `real` is the
    yardstick, and where they are later in time it holds the drift of the data too.
    """
    real, held_out, synthetic = (_at_most(rows, seed) for rows in (real, held_out, synthetic))
    ks, wasserstein = marginal_distances(real, synthetic)
    correlation = np.abs(correlations(real) - correlations(synthetic))[np.triu_indices(real.shape[1], 1)]
    distance = nearest_distances(real, synthetic)
    yardstick = nearest_distances(real, held_out)
    return {
        "detection_auc": detection_auc(real, synthetic, seed),
        "detection_auc_held_out": detection_auc(real, held_out, seed),
        "detection_auc_independent": detection_auc(real, independent(real, seed), seed),
        "ks_mean": float(ks.mean()),
        "ks_max": float(ks.max()),
        "wasserstein_mean": float(wasserstein.mean()),
        "wasserstein_max": float(wasserstein.max()),
        "correlation_difference_mean": float(correlation.mean()) if len(correlation) else 0.0,
        "correlation_difference_max": float(correlation.max()) if len(correlation) else 0.0,
        "nearest_distance_ratio": float(np.median(distance) / max(float(np.median(yardstick)), 1e-12)),
        "copied_share": float((distance < 1e-6).mean()),
        "copied_share_held_out": float((yardstick < 1e-6).mean()),
    }


def _at_most(rows: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    if len(rows) <= ROWS_MAX:
        return rows
    return rows[np.random.default_rng([seed, 3]).choice(len(rows), ROWS_MAX, replace=False)]


def detection_auc(real: NDArray[np.float32], other: NDArray[np.float32], seed: int) -> float:
    """ROC AUC of gradient boosting that separates `other` from `real`, cross-validated: 0.5 not at all, 1 perfectly."""
    count = min(len(real), len(other))  # as many of each, so that neither is recognised by its frequency
    random = np.random.default_rng([seed, 4])
    rows = np.concatenate([part[random.choice(len(part), count, replace=False)] for part in (real, other)])
    is_real = np.repeat([True, False], count)
    folds = StratifiedKFold(min(FOLDS, count), shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=seed)
    with threadpool_limits(1):  # its threads wait for each other by spinning, endlessly on a busy machine
        score = cross_val_predict(model, rows, is_real, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(is_real, score))


def independent(rows: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Every column shuffled on its own: what perfect marginals are worth without any dependence."""
    random = np.random.default_rng([seed, 5])
    return np.stack([random.permutation(column) for column in rows.T], axis=1)


def marginal_distances(
    real: NDArray[np.float32], synthetic: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """float64[F] each: Kolmogorov-Smirnov's, 0 to 1, and Wasserstein's, in the real column's standard deviations."""
    ks, wasserstein = [], []
    for a, b in zip(real.T.astype(np.float64), synthetic.T.astype(np.float64), strict=True):
        at = np.unique(np.concatenate([a, b]))
        gap = np.abs(_share_up_to(a, at) - _share_up_to(b, at))
        ks.append(gap.max())
        wasserstein.append((gap[:-1] * np.diff(at)).sum() / (a.std() or 1.0))
    return np.array(ks), np.array(wasserstein)


def _share_up_to(column: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.searchsorted(np.sort(column), at, "right") / len(column)


def correlations(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64[F, F]: Pearson's; a constant column goes with none."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    scaled = centred / np.where(deviation > 0.0, deviation, 1.0)
    return np.asarray(scaled.T @ scaled / len(rows))


def nearest_distances(real: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64[n]: from each of `rows` to the nearest of `real`, every column in the real one's standard deviations."""
    deviation = real.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0.0, deviation, 1.0)
    distance, _ = NearestNeighbors(n_neighbors=1).fit(real / scale).kneighbors(rows / scale)
    return np.asarray(distance[:, 0])
