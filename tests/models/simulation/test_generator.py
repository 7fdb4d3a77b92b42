"""The generator makes the handbook's data: its rates and frauds, by seed, day by day."""

import itertools

import numpy as np
import pytest

from models.simulation.population import draw_population
from models.simulation.settings import SimulationError, SimulationSettings
from models.simulation.stream import (
    CUSTOMER_DAYS,
    LARGE_AMOUNT,
    SCENARIO_CUSTOMER,
    SCENARIO_LARGE_AMOUNT,
    SCENARIO_TERMINAL,
    TERMINAL_DAYS,
    TransactionDay,
    generate,
)

SMALL = SimulationSettings(seed=7, customers=200, terminals=400, days=20)
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def handbook() -> list[TransactionDay]:
    """60 days of the handbook's population: warm after 28."""
    return list(generate(SimulationSettings(days=60)))


def digest(days: list[TransactionDay]) -> list[tuple[object, ...]]:
    """Everything in them, bit for bit."""
    return [
        (
            *(day.transaction_id, day.card_id, day.terminal_id),
            *(day.event_time_ms.tobytes(), day.amount.tobytes(), day.is_fraud.tobytes(), day.scenario.tobytes()),
        )
        for day in days
    ]


def test_the_same_settings_give_the_same_bits_and_another_seed_others() -> None:
    """Ids included."""
    assert digest(list(generate(SMALL))) == digest(list(generate(SMALL)))
    other = SimulationSettings(seed=8, customers=200, terminals=400, days=20)
    assert digest(list(generate(SMALL))) != digest(list(generate(other)))


def test_the_number_of_days_does_not_change_the_first_ones() -> None:
    """20 days are the first 20 of 40, and of a stream without end."""
    longer = list(generate(SimulationSettings(seed=7, customers=200, terminals=400, days=40)))
    endless = itertools.islice(generate(SimulationSettings(seed=7, customers=200, terminals=400, days=None)), 20)
    assert digest(list(generate(SMALL))) == digest(longer[:20]) == digest(list(endless))


def test_days_follow_each_other_in_order_of_time_with_ids_that_count_on() -> None:
    """Sorted inside the day, inside its bounds; transaction ids without a gap."""
    start_ms, numbers = 1_767_225_600_000, itertools.count()
    for number, day in enumerate(generate(SMALL)):
        assert (np.diff(day.event_time_ms) >= 0).all()
        assert day.event_time_ms.min() > start_ms + number * DAY_MS
        assert day.event_time_ms.max() < start_ms + (number + 1) * DAY_MS
        assert day.transaction_id == [f"s7-{next(numbers):010d}" for _ in range(len(day))]
        assert len(day) == len(day.columns) == len(day.amount) == len(day.scenario)


def test_rates_and_amounts_are_the_handbooks(handbook: list[TransactionDay]) -> None:
    """1,754,155 transactions in 183 days of 5,000 customers; amounts in whole cents, mean near 53."""
    per_day = np.mean([len(day) for day in handbook])
    assert per_day == pytest.approx(1_754_155 / 183, rel=0.05)
    amounts = np.concatenate([day.amount for day in handbook])
    assert (amounts == np.round(amounts, 2)).all()
    assert amounts.min() >= 0
    assert amounts.mean() == pytest.approx(53.6, rel=0.05)
    noon_share = np.mean(
        np.abs(np.concatenate([day.event_time_ms for day in handbook]) % DAY_MS / 1000 - 43_200) < 20_000
    )
    assert noon_share == pytest.approx(0.683 / 0.969, abs=0.01)


def test_frauds_come_at_the_handbooks_rate_by_scenario(handbook: list[TransactionDay]) -> None:
    """Published for 183 days: 973, 9,077 and 4,631 frauds; per warm day 5.3, 54 and 26."""
    warm = np.concatenate([day.scenario for day in handbook[TERMINAL_DAYS:]])
    per_day = np.bincount(warm, minlength=4) / (len(handbook) - TERMINAL_DAYS)
    assert per_day[SCENARIO_LARGE_AMOUNT] == pytest.approx(973 / 183, rel=0.4)
    assert per_day[SCENARIO_TERMINAL] == pytest.approx(9_077 / (183 - 14), rel=0.2)
    assert per_day[SCENARIO_CUSTOMER] == pytest.approx(4_631 / (183 - 7), rel=0.2)
    assert (warm > 0).mean() == pytest.approx(0.0089, rel=0.15)


def test_no_genuine_payment_is_large_and_frauds_are_marked(handbook: list[TransactionDay]) -> None:
    """Above 220 everything is fraud; a fraud has a scenario and nothing else has."""
    for day in handbook:
        assert day.is_fraud[day.amount > LARGE_AMOUNT].all()
        assert (day.is_fraud == (day.scenario > 0)).all()


def test_a_compromised_terminal_stays_so_for_28_days_and_two_fall_each_day(handbook: list[TransactionDay]) -> None:
    """On day 0 two terminals, 56 from day 27 on; all that is paid there is fraud."""
    for number in (0, 10, 27, 59):
        day = handbook[number]
        terminals = np.array(day.terminal_id)
        hit = set(terminals[day.scenario == SCENARIO_TERMINAL])
        assert len(hit) <= 2 * min(number + 1, TERMINAL_DAYS)
        assert day.is_fraud[np.isin(terminals, list(hit))].all()
    assert len(set(np.array(handbook[59].terminal_id)[handbook[59].scenario == SCENARIO_TERMINAL])) > TERMINAL_DAYS


def test_a_compromised_customer_loses_about_a_third_of_the_payments(handbook: list[TransactionDay]) -> None:
    """At most three customers a day for fourteen days; the factor of five shows in the mean amount."""
    day = handbook[-1]
    hit = day.scenario == SCENARIO_CUSTOMER
    assert 0 < len(set(np.array(day.card_id)[hit])) <= 3 * CUSTOMER_DAYS
    amounts = np.concatenate([day.amount for day in handbook])
    scenarios = np.concatenate([day.scenario for day in handbook])
    ratio = amounts[scenarios == SCENARIO_CUSTOMER].mean() / amounts[scenarios == 0].mean()
    assert 4 < ratio < 7


def test_no_card_id_can_be_taken_for_a_card_number() -> None:
    """Not a digit in them, whatever the seed; and no two are the same."""
    settings = SimulationSettings(seed=4_111_111_111_111_111, customers=1000, terminals=10)
    cards = draw_population(settings, np.random.default_rng(0)).card_ids.tolist()
    assert not any(character.isdigit() for card in cards for character in card)
    assert len(set(cards)) == 1000
    assert max(len(card) for card in cards) <= 64


def test_customers_use_the_terminals_within_reach() -> None:
    """All pairs compared one by one; who reaches none makes no payment."""
    settings = SimulationSettings(customers=600, terminals=300, radius=3.0)
    random = np.random.default_rng(3)
    population = draw_population(settings, random)
    again = np.random.default_rng(3)
    customers = again.uniform(0, 100, (600, 2))
    again.uniform(5, 100, 600)
    again.uniform(0, 4, 600)
    terminals = again.uniform(0, 100, (300, 2))
    for customer in range(600):
        distance = np.hypot(*(terminals - customers[customer]).T)
        first, end = population.reachable_start[customer : customer + 2]
        assert population.reachable[first:end].tolist() == np.flatnonzero(distance < 3.0).tolist()
        assert (population.daily_rate[customer] == 0) == (first == end)


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"customers": 2}, {"terminals": 1}, {"radius": 0.0}, {"days": -1}, {"start": "tomorrow"}]
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(wrong: dict[str, object]) -> None:
    """One sentence with the fix."""
    with pytest.raises(SimulationError, match=f"{next(iter(wrong))} is .*; give"):
        SimulationSettings(**wrong)  # type: ignore[arg-type]
