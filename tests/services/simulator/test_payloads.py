"""The simulator's payloads: what they hold, and how they are spoiled."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from models.installation import DEPLOY
from models.simulation.settings import SimulationSettings
from models.simulation.stream import TransactionDay, generate
from models.sources.parser import EventParser
from models.sources.spec_file import load_source
from schemas import codec
from schemas.transaction import Transaction
from services.simulator.payloads import CARD_NUMBER, KINDS, Garbage, Payload, payloads
from services.simulator.stream import prefetched

SETTINGS = SimulationSettings(seed=3, customers=200, terminals=400, days=6)


def days() -> Iterator[TransactionDay]:
    return generate(SETTINGS)


def made(bad_share: float, seed: int = 0) -> list[Payload]:
    return list(payloads(days(), bad_share, seed))


def test_every_good_payload_is_a_transaction_keyed_by_its_card() -> None:
    """Ids, times, cards, terminals and amounts are the generator's, in its order."""
    generated = [
        row
        for day in days()
        for row in zip(
            day.transaction_id,
            day.event_time_ms.tolist(),
            day.card_id,
            day.terminal_id,
            day.amount.tolist(),
            strict=True,
        )
    ]
    read = [codec.read(Transaction, payload.value) for payload in made(0.0)]
    assert [(t.transaction_id, t.event_time_ms, t.card_id, t.terminal_id, t.amount) for t in read] == generated
    assert [payload.key.decode() for payload in made(0.0)] == [t.card_id for t in read]
    assert len(read) > 1000


def test_the_same_seed_gives_the_same_bytes() -> None:
    """And another seed spoils others."""
    assert made(0.2, seed=1) == made(0.2, seed=1)
    assert made(0.2, seed=1) != made(0.2, seed=2)


def test_the_share_of_garbage_is_as_asked_and_of_every_kind() -> None:
    """A fifth, within four standard deviations of a binomial."""
    kinds = [payload.garbage for payload in made(0.2)]
    bad = len(kinds) - kinds.count(None)
    assert abs(bad - 0.2 * len(kinds)) < 4 * (len(kinds) * 0.2 * 0.8) ** 0.5
    assert set(kinds) == {None, *KINDS}


@pytest.mark.parametrize("kind", [Garbage.CUT_SHORT, Garbage.MISSING_FIELD, Garbage.WRONG_TYPE, Garbage.NOT_A_NUMBER])
def test_garbage_is_refused_by_the_scorers_decoder(kind: Garbage) -> None:
    """Each of its kind, whatever the payment."""
    decode = codec.decoder(Transaction)
    spoiled = [payload.value for payload in made(0.3) if payload.garbage is kind]
    assert spoiled
    for value in spoiled:
        with pytest.raises(codec.RejectedError):
            decode(value)


def test_a_repetition_is_the_last_good_payment_of_the_same_key() -> None:
    """So it lands on the partition where the first one was seen."""
    last: Payload | None = None
    repeated = 0
    for payload in made(0.3):
        if payload.garbage is Garbage.REPEATED:
            assert last is not None
            assert (payload.key, payload.value) == (last.key, last.value)
            repeated += 1
        elif payload.garbage is None:
            last = payload
    assert repeated


def test_a_first_payment_that_should_repeat_is_cut_short() -> None:
    """There is nothing to repeat yet; whatever the seed, no repetition comes before a good payment."""
    for seed in range(20):
        first = next(payloads(days(), 1.0, seed))
        assert first.garbage is not Garbage.REPEATED


def test_the_card_number_is_a_published_test_number_that_passes_luhn() -> None:
    """It decodes, and must be refused for what it is."""
    digits = [int(digit) for digit in reversed(CARD_NUMBER)]
    luhn = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    assert luhn % 10 == 0
    spoiled = next(payload for payload in made(0.3) if payload.garbage is Garbage.CARD_NUMBER)
    assert codec.read(Transaction, spoiled.value).card_id == CARD_NUMBER


def test_prefetched_days_are_the_same_days() -> None:
    """Drawn ahead in a thread, in order, to the end, and only as far as asked."""
    assert [day.transaction_id for day in prefetched(days())] == [day.transaction_id for day in days()]
    endless = generate(SimulationSettings(seed=3, customers=10, terminals=20, days=None))
    assert len(list(itertools.islice(prefetched(endless), 3))) == 3


def test_payments_of_rings_are_read_by_the_spec_that_comes_with_them() -> None:
    """The device and the payee of each, as ids; all else as without."""
    source, settings = load_source(DEPLOY / "sources" / "rings.yaml"), replace(SETTINGS, rings=True)
    generated = [row for day in generate(settings) for row in zip(*day.attributes.values(), strict=True)]
    events = EventParser(source).batch([payload.value for payload in payloads(generate(settings))])
    assert events is not None
    columns = events.columns(frozenset({"device_id", "payee_id"}), None, frozenset())
    assert list(zip(columns.ids["device_id"], columns.ids["payee_id"], strict=True)) == generated
