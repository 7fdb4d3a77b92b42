"""Simulated applications: repeatable, plausible, and with something to learn in them."""

import numpy as np
from sklearn.metrics import roc_auc_score

from models.simulation.applications import BILL, MONTHS, PAID, PAY, drawn, generate

BATCH = drawn(20_000, seed=1, start_ms=0)


def test_the_same_seed_gives_the_same_applications_and_another_seed_others() -> None:
    """Attributes, ids and what becomes of them."""
    first, again, other = (next(generate(seed, start_ms=1_000)) for seed in (3, 3, 4))
    assert first.rows() == again.rows()
    assert first.applicant_id == again.applicant_id
    assert np.array_equal(first.defaulted, again.defaulted)
    assert first.rows() != other.rows()


def test_ids_never_repeat_and_time_goes_on_from_batch_to_batch() -> None:
    """A repeated id would be a dead letter."""
    source = generate(3, start_ms=0, gap_ms=10)
    batches = [next(source) for _ in range(3)]
    ids = [one for batch in batches for one in batch.application_id]
    times = np.concatenate([batch.event_time_ms for batch in batches])
    assert len(set(ids)) == len(ids)
    assert np.all(np.diff(times) == 10)


def test_a_fifth_defaults_and_delays_foretell_it() -> None:
    """As in the data whose shape they have, roughly."""
    assert 0.15 < BATCH.defaulted.mean() < 0.3
    assert 0.65 < roc_auc_score(BATCH.defaulted, BATCH.attributes["PAY_0"]) < 0.85


def test_states_bills_and_payments_of_each_month_fit_together() -> None:
    """No bill, no use; a delay, no payment; nothing out of bounds."""
    for month in range(MONTHS):
        state, bill, paid = (BATCH.attributes[names[month]] for names in (PAY, BILL, PAID))
        assert np.array_equal(state == -2, bill == 0)
        assert not paid[state > 0].any()
        assert np.all((paid >= 0) & (paid <= bill))
        assert state.min() >= -2
        assert state.max() <= 8
