"""The cuts follow time, and what is known at scoring time decides who is left out."""

import numpy as np
import pytest

from models.training.data import Cuts, Dataset, TrainingError, known_compromised, split

CUTS = Cuts(validation_days=2, delay_days=3, test_days=2)
DAYS = 12


def dataset(frauds: set[tuple[int, int]]) -> Dataset:
    """One payment of each of five cards on each of 12 days; `frauds` are (day, card)."""
    day, card = (grid.ravel() for grid in np.mgrid[0:DAYS, 0:5])
    is_fraud = np.array([(d, c) in frauds for d, c in zip(day.tolist(), card.tolist(), strict=True)])
    return Dataset(np.zeros((len(day), 1), np.float32), card, day, is_fraud, is_fraud.astype(np.int8))


EVERYWHERE = {(0, 0), (5, 0), (10, 1)}
"""A fraud in each cut."""


def test_the_cuts_are_train_validation_delay_test() -> None:
    """Twelve days: five, two, three unused, two."""
    parts = split(dataset(EVERYWHERE), DAYS, CUTS)
    assert np.unique(parts.train.day).tolist() == [0, 1, 2, 3, 4]
    assert np.unique(parts.validation.day).tolist() == [5, 6]
    assert np.unique(parts.test.day).tolist() == [10, 11]


def test_a_card_is_left_out_of_the_test_from_the_day_its_fraud_is_known() -> None:
    """Known means: at least the delay ago. Card 2's fraud of day 7 is known on day 11, not yet on day 10."""
    test = split(dataset(EVERYWHERE | {(7, 2)}), DAYS, CUTS).test
    assert {(d, c) for d, c in zip(test.day.tolist(), test.card.tolist(), strict=True) if c == 2} == {(10, 2)}


def test_too_few_days_and_a_cut_without_fraud_are_refused_in_a_sentence() -> None:
    """Each says what to give."""
    with pytest.raises(TrainingError, match="give 8 days at least"):
        split(dataset(EVERYWHERE), 7, CUTS)
    with pytest.raises(TrainingError, match="The validation cut has 0 frauds, and 1 are needed"):
        split(dataset(EVERYWHERE - {(5, 0)}), DAYS, CUTS)


def test_a_train_cut_of_some_days_ends_before_the_last_cuts_or_begins_where_it_is_told() -> None:
    """Three days of twelve: those before validation; or from day 1 on, and the test cut follows."""
    data = dataset(EVERYWHERE | {(d, c) for d in range(DAYS) for c in (3,)})
    last = split(data, DAYS, Cuts(2, 3, 2, train_days=3))
    assert np.unique(last.train.day).tolist() == [2, 3, 4]
    assert np.unique(last.test.day).tolist() == [10, 11]
    told = split(data, DAYS, Cuts(2, 3, 2, train_days=3, first_day=1))
    assert np.unique(told.train.day).tolist() == [1, 2, 3]
    assert np.unique(told.validation.day).tolist() == [4, 5]
    assert np.unique(told.test.day).tolist() == [9, 10]
    with pytest.raises(TrainingError, match="give 13 days at least"):
        split(data, DAYS, Cuts(2, 3, 2, train_days=3, first_day=3))


def test_the_handbooks_rule_counts_frauds_since_the_training_week_began() -> None:
    """An older one was before the data that the bank looks at; one of the delay's last days is not known yet."""
    data = dataset({(0, 0), (4, 1), (9, 2)})
    test = data[data.day == 11]
    known = known_compromised(data, test, delay_days=3, since_day=2)
    assert test.card[known].tolist() == [1]
