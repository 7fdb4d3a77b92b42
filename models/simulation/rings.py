"""Frauds of many cards at once, which no card's own history shows: scenarios 4 to 6, with the devices and payees they need.

Payments of the day are turned into frauds as they are: card, time and amount stay, so what gives them away is whom they share.

- 4, a device on many cards: payments of some cards within two hours are made from one device that no one saw before.
- 5, a merchant in a burst: payments of some cards within an hour go to one terminal.
- 6, a fresh payee: payments of some cards within a day's part go to an account that did not exist yesterday.

Honest payments share, too, so that sharing alone is no proof: households have a device in common, kiosks serve many cards, a
shop has a sale, and new payees open every day.
"""

import numpy as np
from numpy.typing import NDArray

from models.simulation.population import Population

SCENARIO_DEVICE, SCENARIO_BURST, SCENARIO_PAYEE = 4, 5, 6

HOUR_S = 3_600
FIRST_S, LAST_S = 7 * HOUR_S, 18 * HOUR_S
"""When a ring begins its day's work."""

DEVICE_CARDS, DEVICE_S = (8, 25), 2 * HOUR_S
BURST_CARDS, BURST_S = (15, 40), HOUR_S
PAYEE_CARDS, PAYEE_S = (6, 20), 6 * HOUR_S
"""Cards of a ring, at least and less than; and how long it takes."""

HOUSEHOLD_SHARE = 0.4
"""Of the customers, who use the device of the one before them."""

KIOSK_SHARE, KIOSK_CUSTOMERS = 0.01, 1_000
"""Of the payments, from a device in a shop; and customers for each such device."""

SALE_CARDS, SALE_S = (8, 20), 6 * HOUR_S
OPENING_CARDS, OPENING_S = (2, 6), 12 * HOUR_S
NEW_PAYEE_SHARE = 0.02
"""Of the payments, to an account that is paid once and never again."""

DEVICE, PAYEE = "device_id", "payee_id"
ATTRIBUTES = (DEVICE, PAYEE)


class Rings:
    """Who shares what, day after day. It draws from a generator of its own, so that all else has the bits it has without."""

    def __init__(self, seed: int, population: Population) -> None:
        self._random = np.random.default_rng([seed, 4])
        customers = len(population.card_ids)
        alone = self._random.random(customers) >= HOUSEHOLD_SHARE
        alone[0] = True
        self._device_of = np.cumsum(alone) - 1
        self._kiosks = int(self._device_of[-1]) + 1 + np.arange(-(-customers // KIOSK_CUSTOMERS))
        self._terminals = len(population.terminal_ids)
        self._devices, self._payees = int(self._kiosks[-1]) + 1, self._terminals

    def mark(
        self,
        customer: NDArray[np.int64],
        terminal: NDArray[np.int64],
        second: NDArray[np.int64],
        scenario: NDArray[np.int8],
    ) -> dict[str, list[str]]:
        """The attributes of the day's n payments; terminals and scenarios are changed in place.

        customer, terminal, second (of the day): int64[n]. scenario: int8[n]; only what is genuine becomes a fraud of a ring.
        """
        random, free = self._random, scenario == 0
        device, payee = self._device_of[customer], terminal.copy()
        at_kiosk = random.random(len(customer)) < KIOSK_SHARE
        device[at_kiosk] = random.choice(self._kiosks, int(at_kiosk.sum()))
        once = np.flatnonzero(random.random(len(customer)) < NEW_PAYEE_SHARE)
        payee[once] = self._new_payees(len(once))

        def taken(cards: tuple[int, int], length_s: int) -> NDArray[np.int64]:
            """Rows that nothing has taken yet, of different cards, within `length_s`."""
            begin_s = random.integers(FIRST_S, LAST_S)
            rows = np.flatnonzero(free & (second >= begin_s) & (second < begin_s + length_s))
            rows = rows[np.unique(customer[rows], return_index=True)[1]]
            chosen = random.choice(rows, min(int(random.integers(*cards)), len(rows)), replace=False)
            free[chosen] = False
            return np.asarray(chosen, np.int64)

        rows = taken(DEVICE_CARDS, DEVICE_S)
        device[rows], scenario[rows] = self._devices, SCENARIO_DEVICE
        self._devices += 1
        rows = taken(BURST_CARDS, BURST_S)
        terminal[rows] = payee[rows] = random.integers(self._terminals)
        scenario[rows] = SCENARIO_BURST
        rows = taken(PAYEE_CARDS, PAYEE_S)
        payee[rows], scenario[rows] = self._new_payees(1), SCENARIO_PAYEE
        rows = taken(SALE_CARDS, SALE_S)
        terminal[rows] = payee[rows] = random.integers(self._terminals)
        payee[taken(OPENING_CARDS, OPENING_S)] = self._new_payees(1)
        return {
            DEVICE: [f"d{number:08d}" for number in device.tolist()],
            PAYEE: [f"p{number:08d}" for number in payee.tolist()],
        }

    def _new_payees(self, count: int) -> NDArray[np.int64]:
        """Numbers that no payment had before."""
        self._payees += count
        return np.arange(self._payees - count, self._payees)
