"""From a split to the rows that the classifier is fitted on: what the gate says is what happens."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.features.spec_file import load_spec
from models.training.data import Dataset, Split
from models.training.fit_classifier import ClassifierSettings
from models.training.fraud import augmentation
from models.training.fraud.augmentation import AugmentationSettings, augmented
from models.training.generator.fit_gan import GanSettings
from models.training.generator.gate import NO_CARD, GateSettings
from models.training.results.gan import QUALITY
from models.training.running import Run

pytestmark = pytest.mark.train

SPEC = load_spec(Path("deploy/features/fraud.yaml"))
SETTINGS = AugmentationSettings(GanSettings(steps=3), GateSettings(seeds=1, draws=5, share=0.5))


def cuts(train_days: int = 20) -> Split:
    """200 cards, a payment a day, one in ten a fraud."""
    random = np.random.default_rng(0)
    count = 200 * (train_days + 5)
    is_fraud = random.random(count) < 0.1
    features = random.gamma(1.0, 50.0, (count, len(SPEC.names))).astype(np.float32)
    day, card = np.divmod(np.arange(count), 200)
    data = Dataset(features, card, day, is_fraud, is_fraud.astype(np.int8))
    validation = data[day >= train_days]
    return Split(data[day < train_days], validation, validation)


def run(split: Split) -> tuple[Dataset, dict[str, float]]:
    """With the smallest fits."""
    torch.manual_seed(3)
    return augmented(split, 7, SPEC, SETTINGS, ClassifierSettings(hidden=(4,), epochs=1), 1, Run(torch.device("cpu")))


def test_frauds_that_do_not_ship_change_nothing_but_the_record() -> None:
    """Noise drawn from noise: the training cut and torch's own draws stay, and every figure is recorded."""
    split = cuts()
    torch.manual_seed(3)
    expected = torch.rand(2)
    train, found = run(split)
    assert found["gan_shipped"] == 0.0
    assert train is split.train
    assert torch.equal(torch.rand(2), expected)
    deltas = {f"gan_{name}_delta{end}" for name in ("ap", "cp100") for end in ("", "_low", "_high")}
    assert set(found) == {"gan_shipped", *deltas, *(f"gan_{name}" for name in QUALITY)}


def test_frauds_that_pass_the_gate_are_added_to_the_training_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the settings' share of the real ones."""
    monkeypatch.setattr(augmentation, "judge", lambda *_: {"gan_shipped": 1.0})
    split = cuts()
    train, found = run(split)
    added = train[train.card == NO_CARD]
    assert found["gan_shipped"] == 1.0
    assert len(added) == round(0.5 * split.train.is_fraud.sum())
    assert added.is_fraud.all()
    assert train[train.card != NO_CARD].digest() == split.train.digest()


def test_a_history_too_short_for_the_gate_ships_nothing() -> None:
    """And fits nothing."""
    split = cuts(train_days=7)
    train, found = run(split)
    assert found == {"gan_shipped": 0.0}
    assert train is split.train
