"""Frauds of many cards at once: who shares what, and what stays as it is without them."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from models.simulation.rings import ATTRIBUTES, SCENARIO_BURST, SCENARIO_DEVICE, SCENARIO_PAYEE
from models.simulation.settings import SimulationSettings
from models.simulation.stream import TransactionDay, generate

PLAIN = SimulationSettings(seed=7, customers=1_000, terminals=2_000, days=12)
WITH = replace(PLAIN, rings=True)


@pytest.fixture(scope="module")
def rings() -> list[TransactionDay]:
    """Twelve days."""
    return list(generate(WITH))


def test_without_rings_there_is_no_attribute_and_no_ring() -> None:
    """Off by default."""
    for day in generate(PLAIN):
        assert not day.attributes
        assert day.scenario.max() < SCENARIO_DEVICE


def test_rings_change_neither_cards_nor_times_nor_amounts(rings: list[TransactionDay]) -> None:
    """And no fraud of another kind: what gives them away is whom they share."""
    for plain, day in zip(generate(PLAIN), rings, strict=True):
        assert (day.transaction_id, day.card_id) == (plain.transaction_id, plain.card_id)
        np.testing.assert_array_equal(day.event_time_ms, plain.event_time_ms)
        np.testing.assert_array_equal(day.amount, plain.amount)
        own = day.scenario < SCENARIO_DEVICE
        np.testing.assert_array_equal(day.scenario[own], plain.scenario[own])
        assert not plain.scenario[~own].any()


def test_the_same_settings_give_the_same_rings_whatever_the_days(rings: list[TransactionDay]) -> None:
    """Five days are the first five of twelve."""
    for short, day in zip(generate(replace(WITH, days=5)), rings, strict=False):
        assert short.attributes == day.attributes
        assert short.terminal_id == day.terminal_id
        np.testing.assert_array_equal(short.scenario, day.scenario)


@pytest.mark.parametrize(
    ("scenario", "name", "length_s"),
    [
        (SCENARIO_DEVICE, "device_id", 7_200),
        (SCENARIO_BURST, "terminal_id", 3_600),
        (SCENARIO_PAYEE, "payee_id", 21_600),
    ],
)
def test_a_ring_is_many_cards_at_one_entity_within_its_time(
    rings: list[TransactionDay], scenario: int, name: str, length_s: int
) -> None:
    """Each day one ring of each kind, every payment of another card."""
    for day in rings:
        rows = np.flatnonzero(day.scenario == scenario)
        shared = day.attributes[name] if name in ATTRIBUTES else day.terminal_id
        assert len({shared[row] for row in rows}) == 1
        assert len({day.card_id[row] for row in rows}) == len(rows) >= 5
        assert np.ptp(day.event_time_ms[rows]) < length_s * 1_000


@pytest.mark.parametrize(("scenario", "name"), [(SCENARIO_DEVICE, "device_id"), (SCENARIO_PAYEE, "payee_id")])
def test_a_rings_device_and_its_payee_did_not_exist_before(
    rings: list[TransactionDay], scenario: int, name: str
) -> None:
    """A payee of the ring is fresh: no earlier payment has it."""
    seen: set[str] = set()
    for day in rings:
        rows = np.flatnonzero(day.scenario == scenario)
        assert day.attributes[name][rows[0]] not in seen
        seen |= set(day.attributes[name])


def test_honest_payments_share_too(rings: list[TransactionDay]) -> None:
    """Households, kiosks and new payees: sharing alone is no proof."""
    cards, fresh, known = defaultdict(set), 0, set[str]()
    for number, day in enumerate(rings):
        for row in np.flatnonzero(day.scenario == 0).tolist():
            cards[day.attributes["device_id"][row]].add(day.card_id[row])
            payee = day.attributes["payee_id"][row]
            fresh += number > 0 and payee not in known
            known.add(payee)
    shared = np.array([len(found) for found in cards.values()])
    assert (shared == 2).sum() > 100
    assert shared.max() > 30
    assert fresh > 100
