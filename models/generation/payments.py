"""A stream of payments whose amounts and times a generator draws; who pays where is the simulator's.

A generated payment is an amount, a time of day, a weekday, and how much its card usually pays. Its weekday says on which day of
the week it happens, so a week's rhythm is the generator's; the last column picks the card: the population's cards in the
order of what they usually pay, each as often as it pays. Terminals are those that the card reaches, and terminals and
customers are compromised as in the simulator. Not reproduced: bursts, as a card's payments are drawn one by one.
"""

import hashlib
import hmac
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.generation.artefact import Artefact, GeneratorError
from models.generation.sampler import Sampler
from models.simulation.population import Population, draw_population
from models.simulation.settings import SimulationSettings
from models.simulation.stream import DAY_S, GENUINE, Compromised, TransactionDay, choose_terminals, drifted, mark_frauds

COLUMNS = ("amount", "second_of_day", "weekday", "card_mean_amount")
"""Main units, seconds, 0 for Monday to 6, main units."""

WEEK_DAYS = 7
MONDAY_OF_1970 = 3  # 1970-01-01 was a Thursday
_HEX_TO_LETTERS = str.maketrans("0123456789", "ghijklmnop")


@dataclass(slots=True)
class _Week:
    """Payments drawn for one week. levels, rows: one array for each time that some were drawn."""

    levels: list[NDArray[np.float32]] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, sampler: Sampler, expected: float, random: np.random.Generator) -> None:
        levels, rows = sampler.draw(int(random.poisson(expected)), random)
        self.levels.append(levels)
        self.rows.append(rows)

    def on(self, weekday: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The levels and rows of one day."""
        levels, rows = np.concatenate(self.levels), np.concatenate(self.rows)
        chosen = rows[:, COLUMNS.index("weekday")] == weekday
        return levels[chosen], rows[chosen]


def generate_payments(artefact: Artefact, settings: SimulationSettings) -> Iterator[TransactionDay]:
    """One day after the other. Same generator and settings, same bits; the number of days changes none of them.

    Raises GeneratorError where the generator draws something else than payments.
    """
    if tuple(column.name for column in artefact.manifest.columns) != COLUMNS:
        raise GeneratorError(f"The generator does not draw {', '.join(COLUMNS)}: it is none of payments.")
    sampler, random = Sampler(artefact), np.random.default_rng([settings.seed, 6])
    cards = np.array(card_pseudonyms(settings.seed, settings.customers), dtype=object)
    population = replace(draw_population(settings, random), card_ids=cards)
    expected = float(population.daily_rate.sum())
    compromised, this_week, next_week = Compromised(), _Week(), _Week()
    for _ in range(WEEK_DAYS):
        this_week.add(sampler, expected, random)
    made, day = 0, 0
    while settings.days is None or day < settings.days:
        drawn = this_week.on((settings.start_day + day + MONDAY_OF_1970) % WEEK_DAYS)
        payments = _day(population, compromised, drawn, settings, day, made, random)
        made += len(payments)
        day += 1
        next_week.add(sampler, expected, random)  # a seventh of it each day, so that no day takes long
        if day % WEEK_DAYS == 0:
            this_week, next_week = next_week, _Week()
        yield payments


def _day(
    population: Population,
    compromised: Compromised,
    drawn: tuple[NDArray[np.float32], NDArray[np.float32]],
    settings: SimulationSettings,
    day: int,
    made: int,
    random: np.random.Generator,
) -> TransactionDay:
    levels, rows = drawn
    order = np.argsort(rows[:, COLUMNS.index("second_of_day")], kind="stable")
    levels, rows = levels[order], rows[order]
    customer = choose_customers(population, levels[:, COLUMNS.index("card_mean_amount")])
    terminal = choose_terminals(population, customer, random)
    amount = rows[:, COLUMNS.index("amount")].astype(np.float64).round(2)
    # the generator knows legitimate payments alone, so none is a fraud for being large
    scenario = mark_frauds(compromised, population, random, customer, terminal, amount, large_amount=math.inf)
    second = np.clip(rows[:, COLUMNS.index("second_of_day")].astype(np.int64), 0, DAY_S - 1)
    return TransactionDay(
        transaction_id=[f"g{settings.seed}-{number:010d}" for number in range(made, made + len(rows))],
        card_id=population.card_ids[customer].tolist(),
        terminal_id=population.terminal_ids[terminal].tolist(),
        event_time_ms=((settings.start_day + day) * DAY_S + second) * 1000,
        amount=drifted(settings, day, amount),
        is_fraud=scenario != GENUINE,
        scenario=scenario,
    )


def choose_customers(population: Population, level: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64[n]: the customer at each level in [0, 1] of those in order of their mean amount, each as wide as its rate."""
    order: NDArray[np.int64] = np.argsort(population.mean_amount, kind="stable")
    order = order[population.daily_rate[order] > 0.0]
    reached = np.cumsum(population.daily_rate[order])
    place = np.searchsorted(reached, level.astype(np.float64) * reached[-1], "right")
    return np.asarray(order[np.minimum(place, len(order) - 1)])


def card_pseudonyms(seed: int, count: int) -> list[str]:
    """Keyed hashes of the cards' numbers, the key from the seed: letters only, so that none can be taken for a card number."""
    key = hashlib.sha256(f"assay generated cards {seed}".encode()).digest()
    hashes = (hmac.new(key, str(number).encode(), hashlib.sha256).hexdigest() for number in range(count))
    return [f"card-{digest[:24].translate(_HEX_TO_LETTERS)}" for digest in hashes]
