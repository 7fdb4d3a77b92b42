"""Transactions day by day, frauds included, for as long as one likes."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.features.columns import TransactionColumns
from models.simulation.population import Population, draw_population
from models.simulation.rings import Rings
from models.simulation.settings import SimulationSettings

DAY_S = 86_400
NOON_S, SPREAD_S = 43_200.0, 20_000.0

DRIFT_FACTOR = 1.5
"""A change of habits that a monitor should see: half as much again, no fraud in it."""

LARGE_AMOUNT = 220.0
TERMINALS_PER_DAY, TERMINAL_DAYS = 2, 28
CUSTOMERS_PER_DAY, CUSTOMER_DAYS = 3, 14
CUSTOMER_SHARE, CUSTOMER_FACTOR = 1.0 / 3.0, 5.0

GENUINE, SCENARIO_LARGE_AMOUNT, SCENARIO_TERMINAL, SCENARIO_CUSTOMER = range(4)


@dataclass(frozen=True, slots=True)
class TransactionDay:
    """The n transactions of one UTC day in order of time; those of the same second in the order they were drawn.

    event_time_ms: int64[n]. amount: float64[n], whole cents. is_fraud: bool[n].
    scenario: int8[n], 0 genuine, 1 large amount, 2 compromised terminal, 3 compromised customer; with rings also 4 a device on
    many cards, 5 a merchant in a burst, 6 a fresh payee. attributes: further ids by name, n of each; only with rings.
    """

    transaction_id: list[str]
    card_id: list[str]
    terminal_id: list[str]
    event_time_ms: NDArray[np.int64]
    amount: NDArray[np.float64]
    is_fraud: NDArray[np.bool_]
    scenario: NDArray[np.int8]
    attributes: Mapping[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.transaction_id)

    @property
    def columns(self) -> TransactionColumns:
        """What the feature fold reads."""
        ids: dict[str, list[str]] = {"card_id": self.card_id, "terminal_id": self.terminal_id, **self.attributes}
        return TransactionColumns(ids, self.event_time_ms, self.amount)


@dataclass(slots=True)
class Compromised:
    """Terminals and customers whose details leaked, one array a day, for as many days as the thieves use them."""

    terminals: deque[NDArray[np.int64]] = field(default_factory=lambda: deque(maxlen=TERMINAL_DAYS))
    customers: deque[NDArray[np.int64]] = field(default_factory=lambda: deque(maxlen=CUSTOMER_DAYS))


def generate(settings: SimulationSettings) -> Iterator[TransactionDay]:
    """One day after the other. Same settings, same bits; the number of days changes none of them.

    The frauds are the handbook's except in three points, since an endless stream cannot look at all its data first:
    - scenario 3: each transaction of a compromised customer is fraudulent with probability 1/3, where the book takes
      floor(n/3) of the pooled n of the day's three customers; a customer compromised twice is hit twice as often, and a
      transaction hit twice has its amount multiplied twice, as in the book;
    - terminals and customers are compromised on the last day too;
    - one generator draws everything, where the book's seeds for scenarios 2 and 3 repeat those of its days.
    """
    random = np.random.default_rng(settings.seed)
    population = draw_population(settings, random)
    compromised = Compromised()
    rings = Rings(settings.seed, population) if settings.rings else None
    made, day = 0, 0
    while settings.days is None or day < settings.days:
        customer, terminal, second, amount = _payments(population, random)
        scenario = mark_frauds(compromised, population, random, customer, terminal, amount)
        attributes = rings.mark(customer, terminal, second, scenario) if rings is not None else {}
        amount = drifted(settings, day, amount)
        yield TransactionDay(
            transaction_id=[f"s{settings.seed}-{number:010d}" for number in range(made, made + len(customer))],
            card_id=population.card_ids[customer].tolist(),
            terminal_id=population.terminal_ids[terminal].tolist(),
            event_time_ms=((settings.start_day + day) * DAY_S + second) * 1000,
            amount=amount,
            is_fraud=scenario != GENUINE,
            scenario=scenario,
            attributes=attributes,
        )
        made += len(customer)
        day += 1


def drifted(settings: SimulationSettings, day: int, amount: NDArray[np.float64]) -> NDArray[np.float64]:
    """The day's amounts, float64[n], as they are spent from `drift_day` on."""
    if settings.drift_day is None or day < settings.drift_day:
        return amount
    return np.asarray((amount * DRIFT_FACTOR).round(2))


def _payments(
    population: Population, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Genuine payments of one day, sorted: customer, terminal, second of the day, amount (step 4 of the handbook)."""
    customer = np.repeat(np.arange(len(population.daily_rate), dtype=np.int64), random.poisson(population.daily_rate))
    second = random.normal(NOON_S, SPREAD_S, len(customer)).astype(np.int64)
    inside = (second > 0) & (second < DAY_S)
    customer, second = customer[inside], second[inside]
    order = np.argsort(second, kind="stable")
    customer, second = customer[order], second[order]
    mean = population.mean_amount[customer]
    drawn = random.normal(mean, population.std_amount[customer])
    amount: NDArray[np.float64] = np.where(drawn < 0.0, random.uniform(0.0, 2.0 * mean), drawn).round(2)
    return customer, choose_terminals(population, customer, random), second, amount


def choose_terminals(
    population: Population, customer: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """int64[n]: for each payment one of the terminals that its customer reaches."""
    first = population.reachable_start[customer]
    choice = random.integers(0, population.reachable_start[customer + 1] - first)
    terminal: NDArray[np.int64] = population.reachable[first + choice].astype(np.int64)
    return terminal


def mark_frauds(
    compromised: Compromised,
    population: Population,
    random: np.random.Generator,
    customer: NDArray[np.int64],
    terminal: NDArray[np.int64],
    amount: NDArray[np.float64],
    large_amount: float = LARGE_AMOUNT,
) -> NDArray[np.int8]:
    """Marks the day's frauds, a later scenario over an earlier one, and raises the amounts of scenario 3 in place.

    large_amount: a payment of more is a fraud of scenario 1.
    """
    customers, terminals = len(population.card_ids), len(population.terminal_ids)
    compromised.terminals.append(random.choice(terminals, TERMINALS_PER_DAY, replace=False))
    compromised.customers.append(random.choice(customers, CUSTOMERS_PER_DAY, replace=False))
    scenario = np.full(len(customer), GENUINE, dtype=np.int8)
    scenario[amount > large_amount] = SCENARIO_LARGE_AMOUNT
    scenario[np.isin(terminal, np.concatenate(compromised.terminals))] = SCENARIO_TERMINAL
    times_compromised = np.bincount(np.concatenate(compromised.customers), minlength=customers)[customer]
    hits = random.binomial(times_compromised, CUSTOMER_SHARE)
    amount *= CUSTOMER_FACTOR**hits
    np.round(amount, 2, out=amount)
    scenario[hits > 0] = SCENARIO_CUSTOMER
    return scenario
