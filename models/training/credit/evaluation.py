"""Credit models as the published ones were measured: cross-validation, and parts of 30 % held out.

In every split everything is done on the training rows alone: the choice of the eight inputs, the scaling, the early stopping.
All models are tested on the same rows, so their differences are paired.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.training.bootstrap import Ranking
from models.training.credit.choose_inputs import choose_inputs
from models.training.credit.data import VALIDATION_SHARE, dataset, stratified
from models.training.credit.fairness import GroupResult, approvals, fairness
from models.training.credit.train import REFERENCE_CLASSIFIER, WIDE_CLASSIFIER, sized, unprotected
from models.training.data import Dataset
from models.training.devices import deterministic_torch
from models.training.fit_classifier import ClassifierSettings, fit_classifier
from models.training.progress import Progress, silent
from schemas.evaluation import Estimate
from schemas.feature_spec import FeatureSpec

HOLDOUT_SHARE = 0.3
DRAWS = 500
LEVELS = (2.5, 97.5)

REFERENCE, WIDE, WIDE_UNPROTECTED = (
    "reference network, 8 chosen inputs",
    "wide network, all inputs",
    "wide network, without protected inputs",
)
LOGISTIC_8, LOGISTIC, FOREST, XGBOOST = (
    "logistic regression, the same 8 inputs",
    "logistic regression, all inputs",
    "random forest, all inputs",
    "XGBoost, all inputs",
)

Score = NDArray[np.float32]
Fit = Callable[[Dataset, Dataset, int], Score]
"""Training rows, test rows and a seed to the scores of the test rows."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """The AUC of one model.

    cross_validated: mean over the folds. less_reference: the reference network's less this one's, paired. holdouts: on each
    part held out.
    """

    model: str
    cross_validated: Estimate
    less_reference: Estimate
    holdouts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CreditResults:
    """All that the page of results says of one data set."""

    data: str
    applications: int
    default_share: float
    inputs: int
    folds: int
    seed: int
    chosen: dict[str, int]
    """Input -> in how many folds it was among the eight."""
    models: tuple[ModelResult, ...]
    groups: tuple[GroupResult, ...] = ()
    """How the wide network without protected inputs treats groups by them."""


RESULTS = TypeAdapter(dict[str, CreditResults])
"""As docs/results-credit.json holds them."""


def evaluate_credit(
    name: str, spec: FeatureSpec, data: Dataset, folds: int, holdouts: int, seed: int, progress: Progress = silent
) -> CreditResults:
    """Every model on every split of `data`, whose columns are the features of `spec`."""
    free = unprotected(spec)
    fits = _fits(free)
    splits = [*_folds(data, folds, seed)]
    scores: dict[str, list[Score]] = {model: [] for model in fits}
    truths: list[NDArray[np.bool_]] = []
    chosen: dict[str, int] = {}
    for done, (train, test) in enumerate(splits, 1):
        truths.append(test.is_fraud)
        for place in _chosen(train, free):
            chosen[spec.names[place]] = chosen.get(spec.names[place], 0) + 1
        for model, fit in fits.items():
            scores[model].append(fit(train, test, seed))
        progress(f"{name}: folds", done, folds)
    held: dict[str, list[float]] = {model: [] for model in fits}
    for repeat in range(holdouts):
        train, test = stratified(data, HOLDOUT_SHARE, seed + repeat)
        for model, fit in fits.items():
            held[model].append(_auc(fit(train, test, seed), test.is_fraud))
        progress(f"{name}: parts held out", repeat + 1, holdouts)
    draws = _draws(scores, truths, seed)
    return CreditResults(
        data=name,
        applications=len(data),
        default_share=float(data.is_fraud.mean()),
        inputs=len(spec.features),
        folds=folds,
        seed=seed,
        chosen=dict(sorted(chosen.items(), key=lambda item: (-item[1], item[0]))),
        models=tuple(
            ModelResult(model, _estimate(draws[model]), _estimate(draws[REFERENCE] - draws[model]), tuple(held[model]))
            for model in fits
        ),
        groups=_groups(spec, splits, scores[WIDE_UNPROTECTED], seed),
    )


def evaluate_groups(
    name: str, spec: FeatureSpec, data: Dataset, folds: int, seed: int, progress: Progress = silent
) -> tuple[GroupResult, ...]:
    """The groups of `evaluate_credit` alone, from the same folds and fits."""
    fit, splits = _fits(unprotected(spec))[WIDE_UNPROTECTED], [*_folds(data, folds, seed)]
    scores = []
    for done, (train, test) in enumerate(splits, 1):
        scores.append(fit(train, test, seed))
        progress(f"{name}: groups", done, folds)
    return _groups(spec, splits, scores, seed)


def _groups(
    spec: FeatureSpec, splits: list[tuple[Dataset, Dataset]], scores: list[Score], seed: int
) -> tuple[GroupResult, ...]:
    truths = [test.is_fraud for _, test in splits]
    features = np.concatenate([test.features for _, test in splits])
    return fairness(spec, features, approvals(scores, truths), np.concatenate(truths), seed)


def _folds(data: Dataset, folds: int, seed: int) -> Iterator[tuple[Dataset, Dataset]]:
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for train, test in cut.split(data.features, data.is_fraud):
        yield data[train], data[test]


def _chosen(train: Dataset, among: list[int]) -> list[int]:
    count = REFERENCE_CLASSIFIER.chosen_inputs
    return [among[place] for place in choose_inputs(train.features[:, among], train.is_fraud, count)]


def _fits(free: list[int]) -> dict[str, Fit]:
    """Every model by name. The trees' settings are usual ones against overfitting, set once, not tuned."""
    return {
        REFERENCE: lambda train, test, seed: _on(_chosen(train, free), train, test, seed, _network(True)),
        WIDE: _network(False),
        WIDE_UNPROTECTED: lambda train, test, seed: _on(free, train, test, seed, _network(False)),
        LOGISTIC_8: lambda train, test, seed: _on(_chosen(train, free), train, test, seed, _logistic),
        LOGISTIC: _logistic,
        FOREST: _forest,
        XGBOOST: _xgboost,
    }


def _on(columns: list[int], train: Dataset, test: Dataset, seed: int, fit: Fit) -> Score:
    """The fit on some columns alone."""
    parts = [dataset(part.features[:, columns], part.is_fraud) for part in (train, test)]
    return fit(parts[0], parts[1], seed)


def _network(reference: bool) -> Fit:
    """Our own: stopped by a part of the training rows."""
    settings = REFERENCE_CLASSIFIER if reference else WIDE_CLASSIFIER

    def fit(train: Dataset, test: Dataset, seed: int) -> Score:
        return network_scores(settings, train, test, seed)

    return fit


def network_scores(settings: ClassifierSettings, train: Dataset, test: Dataset, seed: int) -> Score:
    """float32[n] logits of the rows of `test`."""
    device = deterministic_torch(seed)
    settings = replace(settings, chosen_inputs=min(settings.chosen_inputs, train.features.shape[1]))
    rest, stop = stratified(train, VALIDATION_SHARE, seed)
    inputs = ClassifierInputs(
        fit_encoding(rest.legitimate), fit_standardisation(rest.features), tuple(range(settings.chosen_inputs))
    )
    classifier = fit_classifier(inputs, rest, stop, sized(settings, len(rest)), device, silent)
    with torch.no_grad():
        return np.asarray(classifier(inputs(torch.from_numpy(test.features))).numpy(), np.float32)


def _logistic(train: Dataset, test: Dataset, seed: int) -> Score:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return np.asarray(model.fit(train.features, train.is_fraud).predict_proba(test.features)[:, 1], dtype=np.float32)


def _forest(train: Dataset, test: Dataset, seed: int) -> Score:
    model = RandomForestClassifier(200, min_samples_leaf=5, random_state=seed)
    return np.asarray(model.fit(train.features, train.is_fraud).predict_proba(test.features)[:, 1], np.float32)


def _xgboost(train: Dataset, test: Dataset, seed: int) -> Score:
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=200,
        max_depth=4,
        learning_rate=0.05,
        subsample=0.8,
        colsample_bytree=0.6,
        min_child_weight=5,
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(model.fit(train.features, train.is_fraud).predict_proba(test.features)[:, 1], np.float32)


def _auc(score: Score, truth: NDArray[np.bool_]) -> float:
    return Ranking.of(score, truth).roc_auc_and_average_precision(np.ones(len(truth)))[0]


def _draws(
    scores: dict[str, list[Score]], truths: list[NDArray[np.bool_]], seed: int
) -> dict[str, NDArray[np.float64]]:
    """Mean AUC over the folds by model, float64[1 + DRAWS]: as measured, then with each fold's rows drawn again."""
    random = np.random.default_rng(seed)
    weights = [
        [
            np.ones(len(truth)),
            *(random.multinomial(len(truth), np.full(len(truth), 1 / len(truth))) for _ in range(DRAWS)),
        ]
        for truth in truths
    ]
    found = {}
    for model, folds in scores.items():
        rankings = [Ranking.of(score, truth) for score, truth in zip(folds, truths, strict=True)]
        by_fold = [
            [ranking.roc_auc_and_average_precision(np.asarray(w, np.float64))[0] for w in drawn]
            for ranking, drawn in zip(rankings, weights, strict=True)
        ]
        found[model] = np.mean(by_fold, axis=0)
    return found


def _estimate(draws: NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(draws[1:], LEVELS)
    return Estimate(value=float(draws[0]), low=float(low), high=float(high))
