"""Customers and terminals, and who can reach which."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.simulation.settings import SimulationSettings

SIDE = 100.0
MEAN_AMOUNT_MIN, MEAN_AMOUNT_MAX = 5.0, 100.0
DAILY_RATE_MAX = 4.0
CUSTOMERS_AT_ONCE = 256

_DIGITS_TO_LETTERS = str.maketrans("0123456789", "abcdefghij")


@dataclass(frozen=True, slots=True)
class Population:
    """C customers and T terminals on a square.

    card_ids: object[C], made of letters only, so that none can be taken for a card number. terminal_ids: object[T].
    mean_amount, std_amount: float64[C], main units. daily_rate: float64[C], transactions a day.
    reachable: int32, terminals of customer c at reachable[reachable_start[c] : reachable_start[c + 1]], ascending.
    """

    card_ids: NDArray[np.object_]
    terminal_ids: NDArray[np.object_]
    mean_amount: NDArray[np.float64]
    std_amount: NDArray[np.float64]
    daily_rate: NDArray[np.float64]
    reachable_start: NDArray[np.int64]
    reachable: NDArray[np.int32]


def draw_population(settings: SimulationSettings, random: np.random.Generator) -> Population:
    """A population after steps 1 to 3 of the handbook. A customer who reaches no terminal pays nowhere: rate 0."""
    customers = random.uniform(0.0, SIDE, (settings.customers, 2))
    mean_amount = random.uniform(MEAN_AMOUNT_MIN, MEAN_AMOUNT_MAX, settings.customers)
    daily_rate = random.uniform(0.0, DAILY_RATE_MAX, settings.customers)
    terminals = random.uniform(0.0, SIDE, (settings.terminals, 2))
    start, reachable = _reachable(customers, terminals, settings.radius)
    daily_rate[np.diff(start) == 0] = 0.0
    return Population(
        card_ids=np.array([_card_id(settings.seed, number) for number in range(settings.customers)], dtype=object),
        terminal_ids=np.array([f"t{number:06d}" for number in range(settings.terminals)], dtype=object),
        mean_amount=mean_amount,
        std_amount=mean_amount / 2.0,
        daily_rate=daily_rate,
        reachable_start=start,
        reachable=reachable,
    )


def _card_id(seed: int, number: int) -> str:
    return f"card-{seed}-{number:07d}".translate(_DIGITS_TO_LETTERS)


def _reachable(
    customers: NDArray[np.float64], terminals: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Terminals nearer than `radius`, per customer; both sides sorted by x so that only a band is compared."""
    customer_order, terminal_order = np.argsort(customers[:, 0]), np.argsort(terminals[:, 0])
    band_x = terminals[terminal_order, 0]
    pairs_customer: list[NDArray[np.int64]] = []
    pairs_terminal: list[NDArray[np.int64]] = []
    for first in range(0, len(customers), CUSTOMERS_AT_ONCE):
        group = customer_order[first : first + CUSTOMERS_AT_ONCE]
        x = customers[group, 0]
        low, high = np.searchsorted(band_x, [x[0] - radius, x[-1] + radius])
        band = terminal_order[low:high]
        gap = customers[group][:, None, :] - terminals[band][None, :, :]
        rows, cells = np.nonzero((gap * gap).sum(axis=2) < radius * radius)
        pairs_customer.append(group[rows])
        pairs_terminal.append(band[cells])
    customer, terminal = np.concatenate(pairs_customer), np.concatenate(pairs_terminal)
    order = np.lexsort((terminal, customer))
    start = np.concatenate([[0], np.cumsum(np.bincount(customer, minlength=len(customers)))]).astype(np.int64)
    return start, terminal[order].astype(np.int32)
