"""The gate says yes where synthetic frauds help, no where they do not or where no one can tell, and records it always."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.training.data import Dataset
from models.training.fraud.evaluation import card_precision
from models.training.generator.gate import (
    NO_CARD,
    Fits,
    GateCuts,
    GateSettings,
    Trial,
    gate_cuts,
    judge,
    with_frauds,
)

DAYS, CARDS = 30, 2_000
SETTINGS = GateSettings(seeds=3, draws=100)


def history(seed: int = 0, days: int = DAYS) -> Dataset:
    """A payment of each of 2,000 cards a day, one in a hundred a fraud; feature 0 is higher where there is one."""
    random = np.random.default_rng(seed)
    count = days * CARDS
    is_fraud = random.random(count) < 0.01
    features = random.normal(size=(count, 2)).astype(np.float32)
    features[:, 0] += 2 * is_fraud
    day, card = np.divmod(np.arange(count), CARDS)
    return Dataset(features, card, day, is_fraud, is_fraud.astype(np.int8))


def cut(data: Dataset) -> GateCuts:
    """Validation from day 20 on."""
    cuts = gate_cuts(data[data.day < 20], data[data.day >= 20], delay_days=7, stop_share=0.25)
    assert cuts
    return cuts


def noisy_by_frauds(noise: dict[bool, float], cuts: GateCuts) -> tuple[list[tuple[int, int]], Fits]:
    """Fits whose score is feature 0 with noise: `noise[True]` after synthetic frauds, `noise[False]` without. And their log."""
    log: list[tuple[int, int]] = []

    def score(trial: Trial) -> NDArray[np.float32]:
        features = cuts.judge.features
        synthetic = int((trial.train(cuts.fit).card == NO_CARD).sum())
        log.append((trial.seed, synthetic))
        random = np.random.default_rng([trial.seed, synthetic])
        return (features[:, 0] + noise[synthetic > 0] * random.normal(size=len(features))).astype(np.float32)

    return log, lambda trials: [score(trial) for trial in trials]


def draw(count: int, seed: int) -> NDArray[np.float32]:
    return np.full((count, 2), seed, np.float32)


def test_the_gate_is_cut_by_time_with_a_label_delay_and_without_known_stolen_cards() -> None:
    """fit, stop, a week of nothing, then validation."""
    data = history()
    cuts = cut(data)
    assert (cuts.fit.day.min(), cuts.fit.day.max()) == (0, 9)
    assert (cuts.stop.day.min(), cuts.stop.day.max()) == (10, 12)
    assert (cuts.judge.day.min(), cuts.judge.day.max()) == (20, 29)
    known = data[data.is_fraud & (data.day < 13)]
    assert set(cuts.judge.card[cuts.judge.day == 20]).isdisjoint(known.card[known.day >= 0])
    assert len(cuts.judge) > 0.5 * CARDS * 10


def test_a_history_too_short_is_not_judged() -> None:
    """No day is left to fit on, or too few frauds."""
    data = history(days=12)
    assert gate_cuts(data[data.day < 8], data[data.day >= 8], delay_days=7, stop_share=0.2) is None
    few = history()
    few = few[~few.is_fraud | (few.card % 20 == 0)]
    assert gate_cuts(few[few.day < 20], few[few.day >= 20], delay_days=7, stop_share=0.2) is None


def test_frauds_that_help_ship() -> None:
    """Both intervals lie above 0, and hold the observed rise."""
    cuts = cut(history())
    log, fits = noisy_by_frauds({True: 0.0, False: 1.5}, cuts)
    found = judge(cuts, fits, draw, SETTINGS, 5)
    assert found["gan_shipped"] == 1.0
    for name in ("gan_ap_delta", "gan_cp100_delta"):
        assert 0.0 < found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    frauds = int(cuts.fit.is_fraud.sum())
    assert log == [(seed, count) for seed in (5, 6, 7) for count in (0, frauds)]


def test_frauds_that_harm_do_not_ship_and_the_fall_is_recorded() -> None:
    """As a negative number with its interval."""
    cuts = cut(history())
    _, fits = noisy_by_frauds({True: 1.5, False: 0.0}, cuts)
    found = judge(cuts, fits, draw, SETTINGS, 5)
    assert found["gan_shipped"] == 0.0
    assert found["gan_ap_delta_high"] < 0.0
    assert found["gan_cp100_delta"] < 0.0


def test_a_rise_within_its_own_uncertainty_does_not_ship() -> None:
    """The same noise with and without: whatever the sign, 0 lies in the interval."""
    cuts = cut(history())
    _, fits = noisy_by_frauds({True: 1.0, False: 1.0}, cuts)
    found = judge(cuts, fits, draw, SETTINGS, 5)
    assert found["gan_shipped"] == 0.0
    assert found["gan_ap_delta_low"] < 0.0 < found["gan_ap_delta_high"]


def test_the_deltas_are_the_mean_over_the_seeds_of_what_the_evaluation_computes() -> None:
    """Against scikit-learn and the evaluation's own card precision."""
    from sklearn.metrics import average_precision_score

    cuts = cut(history())
    _, fits = noisy_by_frauds({True: 0.5, False: 1.0}, cuts)
    found = judge(cuts, fits, draw, SETTINGS, 5)
    rises = []
    for seed in (5, 6, 7):
        scores = fits([Trial(seed, draw(int(cuts.fit.is_fraud.sum()), seed)), Trial(seed)])
        precisions = [average_precision_score(cuts.judge.is_fraud, score) for score in scores]
        cards = [card_precision(cuts.judge, score, 100) for score in scores]
        rises.append((precisions[0] - precisions[1], cards[0] - cards[1]))
    assert np.mean(rises, axis=0) == pytest.approx([found["gan_ap_delta"], found["gan_cp100_delta"]], abs=1e-9)


def test_synthetic_frauds_are_added_after_the_real_rows_and_belong_to_nobody() -> None:
    """The real rows stay as they were."""
    data = history(days=2)
    both = with_frauds(data, draw(3, 1))
    assert both[np.arange(len(both)) < len(data)].digest() == data.digest()
    assert both.card[-3:].tolist() == [NO_CARD] * 3
    assert both.is_fraud[-3:].all()
    assert np.array_equal(both.features[-3:], draw(3, 1))
