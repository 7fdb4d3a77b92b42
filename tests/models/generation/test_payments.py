"""The committed generator's payments: valid, like the real ones, the same for the same seed."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models.generation.artefact import Artefact, GeneratorError, load_generator
from models.generation.payments import COLUMNS, card_pseudonyms, choose_customers, generate_payments
from models.generation.sampler import SLICE_ROWS, Sampler, marginals
from models.simulation.population import draw_population
from models.simulation.settings import SimulationSettings
from models.simulation.stream import TransactionDay
from schemas.privacy import is_card_number

COMMITTED = load_generator(Path("deploy/generators/payments"))
SETTINGS = SimulationSettings(seed=4, customers=400, terminals=800, days=15)


@pytest.fixture(scope="module")
def days() -> list[TransactionDay]:
    """Fifteen days."""
    return list(generate_payments(COMMITTED, SETTINGS))


def test_the_same_seed_gives_the_same_payments_whatever_the_number_of_days(days: list[TransactionDay]) -> None:
    """Bit for bit; another seed gives others."""
    again = list(islice(generate_payments(COMMITTED, SimulationSettings(4, 400, 800, days=None)), 3))
    for one, other in zip(days, again, strict=False):
        assert one.transaction_id == other.transaction_id
        assert one.card_id == other.card_id
        assert one.terminal_id == other.terminal_id
        assert one.event_time_ms.tobytes() == other.event_time_ms.tobytes()
        assert one.amount.tobytes() == other.amount.tobytes()
        assert one.is_fraud.tobytes() == other.is_fraud.tobytes()
    different = next(generate_payments(COMMITTED, SimulationSettings(5, 400, 800, days=1)))
    assert set(different.card_id).isdisjoint(days[0].card_id)
    assert not np.array_equal(different.amount[:50], days[0].amount[:50])


def test_payments_are_in_order_of_time_within_their_day_with_whole_cents(days: list[TransactionDay]) -> None:
    """As the stream must be, and no id comes twice."""
    for number, day in enumerate(days):
        begin = (SETTINGS.start_day + number) * 86_400_000
        assert np.all(np.diff(day.event_time_ms) >= 0)
        assert day.event_time_ms[0] >= begin
        assert day.event_time_ms[-1] < begin + 86_400_000
        assert np.all(day.amount >= 0)
        assert np.allclose(day.amount * 100, np.round(day.amount * 100), atol=1e-6)
    ids = [name for day in days for name in day.transaction_id]
    assert len(set(ids)) == len(ids)


def test_amounts_and_times_are_those_of_the_payments_it_was_trained_on(days: list[TransactionDay]) -> None:
    """Quartiles of amount and time of day within a tenth, and each weekday its share."""
    amount, second, weekday, _ = marginals(COMMITTED.manifest.columns)
    legitimate = [(day.amount[~day.is_fraud], day.event_time_ms[~day.is_fraud] // 1000) for day in days]
    ours = (
        (amount, np.concatenate([amounts for amounts, _ in legitimate])),
        (second, np.concatenate([seconds % 86_400 for _, seconds in legitimate])),
    )
    at = np.array([0.25, 0.5, 0.75], np.float32)
    for expected, column in ours:
        assert np.quantile(column, at) == pytest.approx(expected.quantile(at), rel=0.1)
    shares = np.bincount(weekday.quantile(np.linspace(0, 1, 70_001, dtype=np.float32)).astype(int)) / 70_001
    monday = (4 - SETTINGS.start_day) % 7  # the fourth day of 1970, and every seventh from there, was a Monday
    week = np.array([len(day) for day in days[monday : monday + 7]])
    assert week / week.sum() == pytest.approx(shares, abs=0.03)


def test_there_are_as_many_payments_as_the_population_makes(days: list[TransactionDay]) -> None:
    """Within a tenth, over two weeks."""
    population = draw_population(SETTINGS, np.random.default_rng([SETTINGS.seed, 6]))
    made = sum(len(day) for day in days[:14])
    assert made == pytest.approx(14 * population.daily_rate.sum(), rel=0.1)


def test_cards_differ_in_what_they_pay_as_real_ones_do(days: list[TransactionDay]) -> None:
    """A card's amounts resemble each other: its first payments tell what its later ones are like."""
    amounts: dict[str, list[float]] = {}
    for day in days:
        for card, amount in zip(day.card_id, day.amount.tolist(), strict=True):
            amounts.setdefault(card, []).append(amount)
    halves = [(np.mean(a[::2]), np.mean(a[1::2])) for a in amounts.values() if len(a) >= 10]
    assert len(halves) > 100
    assert np.corrcoef(np.array(halves).T)[0, 1] > 0.5


def test_frauds_are_the_simulators_but_for_large_amounts(days: list[TransactionDay]) -> None:
    """Compromised terminals and customers; a generator of legitimate payments draws none that is a fraud by its size."""
    scenarios = set(np.unique(np.concatenate([day.scenario for day in days])).tolist())
    assert scenarios == {0, 2, 3}
    assert all(np.array_equal(day.is_fraud, day.scenario != 0) for day in days)


def test_from_the_day_of_the_drift_on_everybody_spends_more(days: list[TransactionDay]) -> None:
    """The days before are the same bits."""
    drifting = list(generate_payments(COMMITTED, replace(SETTINGS, days=3, drift_day=2)))
    assert drifting[1].amount.tobytes() == days[1].amount.tobytes()
    assert drifting[2].amount == pytest.approx(days[2].amount * 1.5, abs=0.006)


def test_cards_are_keyed_pseudonyms_of_letters() -> None:
    """None is a card number or tells its place; another seed, another key."""
    cards = card_pseudonyms(1, 2_000)
    assert len(set(cards)) == 2_000
    assert all(card.removeprefix("card-").isalpha() for card in cards)
    assert not any(is_card_number(card) for card in cards)
    assert set(cards).isdisjoint(card_pseudonyms(2, 2_000))


def test_a_card_is_chosen_by_its_rank_as_often_as_it_pays() -> None:
    """Even levels give each card its share; a higher level never a card that usually pays less."""
    population = draw_population(SETTINGS, np.random.default_rng(0))
    chosen = choose_customers(population, np.linspace(0.0, 1.0, 200_001, dtype=np.float32))
    share = np.bincount(chosen, minlength=400) / len(chosen)
    assert share == pytest.approx(population.daily_rate / population.daily_rate.sum(), abs=2e-5)
    assert np.all(np.diff(population.mean_amount[chosen]) >= 0)


def test_a_drawn_row_does_not_depend_on_how_many_are_drawn() -> None:
    """The first rows of a long draw are a short draw's."""
    sampler = Sampler(COMMITTED)
    short, _ = sampler.draw(10, np.random.default_rng(1))
    long, rows = sampler.draw(SLICE_ROWS + 5, np.random.default_rng(1))
    assert long[:10].tobytes() == short.tobytes()
    assert rows.shape == (SLICE_ROWS + 5, len(COLUMNS))
    assert sampler.draw(0, np.random.default_rng(1))[1].shape == (0, len(COLUMNS))


def test_a_generator_of_something_else_is_refused() -> None:
    """Before anything is drawn."""
    renamed = COMMITTED.manifest.columns[0].model_copy(update={"name": "balance"})
    manifest = COMMITTED.manifest.model_copy(update={"columns": (renamed, *COMMITTED.manifest.columns[1:])})
    with pytest.raises(GeneratorError, match="none of payments"):
        next(generate_payments(Artefact(manifest, COMMITTED.model), SETTINGS))
    fewer = COMMITTED.manifest.model_copy(update={"columns": COMMITTED.manifest.columns[:3]})
    with pytest.raises(GeneratorError, match="columns"):
        Sampler(Artefact(fewer, COMMITTED.model))
