"""Settings are chosen on days of the training cut, in a budget, the same again by their seed, and are never worse there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.features.spec_file import load_spec
from models.training.checkpoints import checkpoints
from models.training.data import Dataset, TrainingError
from models.training.fit_classifier import ClassifierSettings, preset
from models.training.fraud import tuning
from models.training.fraud.tuning import Budget, Tuning, parse_budget, tuned
from models.training.running import Run

pytestmark = pytest.mark.train

SPEC = load_spec(Path("deploy/features/fraud.yaml"))
SETTINGS = ClassifierSettings(hidden=(64, 32), epochs=1, batch_rows=1024)


def history(days: int = 24) -> Dataset:
    """200 cards, a payment a day, one in ten a fraud that its first feature tells."""
    random = np.random.default_rng(0)
    count = 200 * days
    is_fraud = random.random(count) < 0.1
    features = random.gamma(1.0, 50.0, (count, len(SPEC.names))).astype(np.float32)
    features[:, 0] += 300.0 * is_fraud
    day, card = np.divmod(np.arange(count), 200)
    return Dataset(features, card, day, is_fraud, is_fraud.astype(np.int8))


def chosen(
    budget: Budget, run: Run, settings: ClassifierSettings = SETTINGS
) -> tuple[ClassifierSettings, tuple[Tuning, ...]]:
    """On the history above."""
    return tuned(history(), (4, 2), SPEC, settings, 1, budget, run)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ClassifierSettings]:
    """What was fitted, where a figure is made up of the settings: a lower learning rate is better."""
    seen: list[ClassifierSettings] = []

    def precision(_: object, __: object, settings: ClassifierSettings, *___: object) -> float:
        seen.append(settings)
        return 1.0 - settings.learning_rate

    monkeypatch.setattr(tuning, "_precision", precision)
    return seen


RUN = Run(torch.device("cpu"))


def test_the_best_of_the_trials_is_taken_and_the_settings_as_they_are_come_first(
    asked: list[ClassifierSettings],
) -> None:
    """Every trial is judged on both cuts, and a seed gives the same trials again."""
    best, trials = chosen(Budget(trials=6), RUN)
    assert len(trials) == 6
    assert asked[::2] == asked[1::2]
    assert asked[0] == SETTINGS
    assert best == min(asked, key=lambda settings: settings.learning_rate)
    assert trials[0].values == {
        "hidden": "64-32",
        "learning_rate": 2e-3,
        "dropout": 0.0,
        "weight_decay": 0.0,
        "batch_rows": 1024,
    }
    assert chosen(Budget(trials=6), RUN)[1] == trials
    of_blend = replace(preset("blend"), epochs=1)
    assert set(chosen(Budget(trials=1), RUN, of_blend)[1][0].values) == {*tuning.NETWORK, *tuning.TREES}


def test_a_time_that_is_over_begins_no_trial_but_there_is_always_one(asked: list[ClassifierSettings]) -> None:
    """The settings as they are."""
    best, trials = chosen(Budget(seconds=0.0), RUN)
    assert len(trials) == 1
    assert best == SETTINGS


def test_trials_of_an_earlier_process_are_not_made_again(asked: list[ClassifierSettings], tmp_path: Path) -> None:
    """And those after them are the ones that it would have made."""
    whole = chosen(Budget(trials=4), RUN)
    with checkpoints(tmp_path / "work", resume=False) as found:
        run = replace(RUN, checkpoints=found)
        chosen(Budget(trials=2), run)
        made = len(asked)
        assert chosen(Budget(trials=4), run) == whole
        assert len(asked) == made + 2 * 2
        assert chosen(Budget(seconds=0.0), run) == whole  # a time that was over then is over still


def test_trials_are_fitted_and_judged_within_the_training_cut_a_label_delay_apart() -> None:
    """The last days, and those before them; a short cut, the reference network and no budget are refused in a sentence."""
    folds = tuning._folds(history(), 4, 2)
    judged = [(int(fold.judge.day.min()), int(fold.judge.day.max())) for fold in folds]
    assert judged == [(20, 23), (16, 19)]
    assert [int(fold.stop.day.max()) for fold in folds] == [17, 13]
    _, trials = chosen(Budget(trials=1), RUN, replace(SETTINGS, epochs=8, batch_rows=64))
    assert 0.5 < trials[0].average_precision <= 1.0
    with pytest.raises(TrainingError, match="too short to choose settings"):
        tuned(history(6), (4, 2), SPEC, SETTINGS, 1, Budget(), RUN)
    with pytest.raises(TrainingError, match="reference network's shape"):
        chosen(Budget(), RUN, preset("reference"))


def test_a_budget_is_a_time_or_a_number_of_trials() -> None:
    """And nothing else."""
    assert [parse_budget(text) for text in ("10m", "90s", "1h", "20")] == [
        Budget(600.0),
        Budget(90.0),
        Budget(3600.0),
        Budget(trials=20),
    ]
    for text in ("", "m", "0", "10 m", "-3", "1.5h", "10000"):
        with pytest.raises(TrainingError, match="is no budget: write a time such as 10m"):
            parse_budget(text)
