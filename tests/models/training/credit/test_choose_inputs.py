"""The choice of inputs: what foretells, each only once, bends too."""

import numpy as np

from models.training.credit.choose_inputs import choose_inputs

RANDOM = np.random.default_rng(0)
ROWS = 4_000
NOISE = RANDOM.normal(size=(ROWS, 6))
STRONG, WEAK, BENT = RANDOM.normal(size=(3, ROWS))
LOGIT = 1.5 * STRONG + 0.6 * WEAK + 1.2 * (np.abs(BENT) - 0.8)
TRUTH = RANDOM.random(ROWS) < 1.0 / (1.0 + np.exp(-LOGIT))


def columns(*parts: np.ndarray) -> np.ndarray:
    """Noise, then the parts."""
    return np.column_stack([NOISE, *parts]).astype(np.float32)


def test_what_foretells_is_chosen_first_also_where_its_effect_bends() -> None:
    """The strongest first; noise only after them."""
    chosen = choose_inputs(columns(WEAK, STRONG, BENT), TRUTH, 4)
    assert chosen[0] == 7
    assert set(chosen[:3]) == {6, 7, 8}
    assert chosen[3] < 6


def test_a_copy_of_what_is_chosen_adds_nothing() -> None:
    """Its score statistic is nought, however strong it is alone."""
    chosen = choose_inputs(columns(STRONG, STRONG * 2.0 + 1.0, WEAK), TRUTH, 2)
    assert len(set(chosen) & {6, 7}) == 1
    assert 8 in chosen


def test_a_constant_is_chosen_last_and_no_more_than_there_are() -> None:
    """Nothing to divide by, nothing gained."""
    rows = np.column_stack([np.ones(ROWS), STRONG]).astype(np.float32)
    assert choose_inputs(rows, TRUTH, 8) == [1, 0]
