"""The handbook's cuts: a week to train on, a week whose labels are not known yet, a week to test on."""

from dataclasses import dataclass
from datetime import date

from models.training.data import Dataset, known_compromised

WEEK_DAYS = 7
EPOCH_DAY = date(1970, 1, 1).toordinal()

SINGLE = "2018-07-25"
UNSUPERVISED = "2018-07-11"
FOLDS = (UNSUPERVISED, "2018-07-04", "2018-06-27", "2018-06-20")
"""First days of the training weeks: of chapters 3 and 7.2, of chapter 7.3, and of the prequential folds of chapter 5."""


@dataclass(frozen=True, slots=True)
class Window:
    """week_before: labelled too, for stopping and calibrating. test: without cards whose fraud was known on the day."""

    week_before: Dataset
    train: Dataset
    test: Dataset


def window(data: Dataset, first_day: int, start: str) -> Window:
    """The window whose training week begins on the day `start`. first_day: of the data, in days since 1970.

    From a test day all payments of customers are dropped who had a fraud in the training week or later, up to eight days
    before: these are known, and blocked.
    """
    return window_from(data, date.fromisoformat(start).toordinal() - EPOCH_DAY - first_day)


def window_from(data: Dataset, train_from: int) -> Window:
    """The window whose training week begins on this day of the data, counted from 0."""
    test = _week(data, train_from + 2 * WEEK_DAYS)
    test = test[~known_compromised(data, test, WEEK_DAYS, since_day=train_from)]
    return Window(_week(data, train_from - WEEK_DAYS), _week(data, train_from), test)


def _week(data: Dataset, first_day: int) -> Dataset:
    return data[(data.day >= first_day) & (data.day < first_day + WEEK_DAYS)]
