"""The classifier's settings chosen in a budget, on days before the validation cut alone: neither it nor the test cut is asked.

Optuna's tree-structured Parzen estimator proposes (Watanabe, "Tree-Structured Parzen Estimator: Understanding Its Algorithm
Components and Their Roles for Better Empirical Performance", 2023), and the settings as they are come first: what is chosen was
never worse on these days. Each trial is fitted on earlier days, stopped on some of them, and judged a label delay later, as the
bundle's classifier is; its figure is the mean of the average precision over up to two such cuts.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from models.installation import lacking
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation, present
from models.training.data import Dataset, TrainingError
from models.training.fit_classifier import ClassifierSettings, fit_logit, logits_of
from models.training.generator.gate import GateCuts, gate_cuts
from models.training.progress import silent
from models.training.running import Run
from schemas.feature_spec import FeatureSpec

FOLDS_MAX = 2
STOP_SHARE = 0.2
STAGE = "tuning"
TRIALS_MAX = 1_000
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}

Value = float | int | str


@dataclass(frozen=True, slots=True)
class Budget:
    """Time, after which no trial begins; or trials, so many on any machine, which the same seed makes the same."""

    seconds: float | None = None
    trials: int = TRIALS_MAX


@dataclass(frozen=True, slots=True)
class Tuning:
    """One trial as the manifest records it: what was tried, and the mean average precision on the earlier cuts."""

    average_precision: float
    values: dict[str, Value]


def parse_budget(text: str) -> Budget:
    """`10m`, `90s`, `1h`, or `20` trials. Raises TrainingError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in SECONDS else (text, "")
    if number.isascii() and number.isdigit() and 0 < int(number) <= TRIALS_MAX:
        return Budget(int(number) * SECONDS[unit]) if unit else Budget(trials=int(number))
    raise TrainingError(
        f"--tune {text} is no budget: write a time such as 10m, or a number of trials to {TRIALS_MAX} such as 20."
    )


def tuned(
    train: Dataset,
    days: tuple[int, int],
    spec: FeatureSpec,
    settings: ClassifierSettings,
    seed: int,
    budget: Budget,
    run: Run,
) -> tuple[ClassifierSettings, tuple[Tuning, ...]]:
    """The best settings on the training cut, and every trial. days: of the validation cut, and of the label delay.

    Raises TrainingError where the training cut is too short to be judged on, or Optuna is not there.
    """
    if settings.chosen_inputs:
        raise TrainingError("The reference network's shape and inputs are given: tune --classifier wide, or another.")
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise TrainingError(lacking("--tune needs", error, "train")) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = _folds(train, *days)
    if not folds:
        raise TrainingError("The training cut is too short to choose settings on its own days: leave --tune out.")
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(_as_they_are(settings))
    stage = run.checkpoints.stage(STAGE)
    kept = stage.load() or {"precisions": [], "spent_s": 0.0}
    found: list[Tuning] = []
    began = time.monotonic() - kept["spent_s"]
    sure = max(1, len(kept["precisions"]))
    while len(found) < budget.trials and (len(found) < sure or not _over(budget, time.monotonic() - began)):
        trial = study.ask()
        proposed, values = _proposed(settings, trial)
        if len(found) < len(kept["precisions"]):  # of an earlier process, which proposed the same
            precision = kept["precisions"][len(found)]
        else:
            precision = float(np.mean([_precision(fold, spec, proposed, seed, run) for fold in folds]))
        study.tell(trial, precision)
        found.append(Tuning(precision, values))
        stage.save({"precisions": [one.average_precision for one in found], "spent_s": time.monotonic() - began})
        _report(run, budget, len(found), time.monotonic() - began)
    run.progress(STAGE, len(found), len(found))
    best = max(found, key=lambda tuning: tuning.average_precision)  # the first of equals: as they are
    return _with(settings, best.values), tuple(found)


def _over(budget: Budget, spent_s: float) -> bool:
    return budget.seconds is not None and spent_s >= budget.seconds


def _report(run: Run, budget: Budget, trials: int, spent_s: float) -> None:
    if budget.seconds is None:
        run.progress(STAGE, trials, budget.trials)
    else:
        run.progress(STAGE, int(min(spent_s, budget.seconds)), int(budget.seconds))


def _folds(train: Dataset, validation_days: int, delay_days: int) -> list[GateCuts]:
    """The last days of the training cut as those of the validation cut would be, and those before them."""
    folds, until = [], int(train.day.max()) + 1
    for _ in range(FOLDS_MAX):
        judged = train[(train.day >= until - validation_days) & (train.day < until)]
        until -= validation_days
        earlier = train[train.day < until]
        if len(judged) and len(earlier) and (fold := gate_cuts(earlier, judged, delay_days, STOP_SHARE)):
            folds.append(fold)
    return folds


def _precision(fold: GateCuts, spec: FeatureSpec, settings: ClassifierSettings, seed: int, run: Run) -> float:
    encoding = fit_encoding(fold.fit.legitimate, values=present(fold.fit.features, spec.embedded))
    inputs = ClassifierInputs(encoding, fit_standardisation(fold.fit.features, spec.embedded))
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        torch.manual_seed(seed)
        logit = fit_logit(inputs, fold.fit, fold.stop, settings, seed, run.device, silent)
    return float(average_precision_score(fold.judge.is_fraud, logits_of(logit, fold.judge.features)))


SHAPES = ((64, 32), (128, 64), (32, 16), (64,), (128, 64, 32))
BATCHES = (512, 1024, 2048)
NETWORK = ("hidden", "learning_rate", "dropout", "weight_decay", "batch_rows")
TREES = ("trees", "depth", "tree_learning_rate")


def _as_they_are(settings: ClassifierSettings) -> dict[str, Value]:
    """The settings in the terms of a trial."""
    values: dict[str, Value] = {}
    if settings.network:
        values |= {"hidden": _named(settings.hidden), "learning_rate": settings.learning_rate}
        values |= {
            "dropout": settings.dropout,
            "weight_decay": settings.weight_decay,
            "batch_rows": settings.batch_rows,
        }
    if settings.trees:
        values |= {"trees": settings.trees.trees, "depth": settings.trees.depth}
        values["tree_learning_rate"] = settings.trees.learning_rate
    return values


def _proposed(settings: ClassifierSettings, trial: Any) -> tuple[ClassifierSettings, dict[str, Value]]:
    """Within ranges that hold the settings as they are."""
    own = _as_they_are(settings)

    def of_range(name: str, low: float, high: float, *, log: bool = False) -> Value:
        suggest = trial.suggest_int if isinstance(own[name], int) else trial.suggest_float
        value: Value = suggest(name, min(low, float(own[name])), max(high, float(own[name])), log=log)
        return value

    def of_choice(name: str, choices: Iterable[Value]) -> Value:
        value: Value = trial.suggest_categorical(name, list(dict.fromkeys([*choices, own[name]])))
        return value

    suggested: dict[str, Callable[[], Value]] = {
        "hidden": lambda: of_choice("hidden", map(_named, SHAPES)),
        "learning_rate": lambda: of_range("learning_rate", 5e-4, 8e-3, log=True),
        "dropout": lambda: of_range("dropout", 0.0, 0.5),
        "weight_decay": lambda: of_range("weight_decay", 0.0, 0.3),
        "batch_rows": lambda: of_choice("batch_rows", BATCHES),
        "trees": lambda: of_range("trees", 25, 200),
        "depth": lambda: of_range("depth", 2, 6),
        "tree_learning_rate": lambda: of_range("tree_learning_rate", 0.03, 0.5, log=True),
    }
    values = {name: suggested[name]() for name in own}
    return _with(settings, values), values


def _named(hidden: tuple[int, ...]) -> str:
    return "-".join(map(str, hidden))


def _with(settings: ClassifierSettings, values: dict[str, Value]) -> ClassifierSettings:
    of_network: dict[str, Any] = {name: values[name] for name in NETWORK if name in values}
    if of_network:
        of_network["hidden"] = tuple(map(int, str(values["hidden"]).split("-")))
    trees = settings.trees
    if trees is not None:
        of_trees: dict[str, Any] = {"trees": values["trees"], "depth": values["depth"]}
        trees = replace(trees, **of_trees, learning_rate=float(values["tree_learning_rate"]))
    return replace(settings, **of_network, trees=trees)
