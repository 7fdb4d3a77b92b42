"""What the decisions are in a day and in money: alerts, and amounts that are caught, missed and stopped wrongly."""

import numpy as np
from numpy.typing import NDArray

from models.training.bootstrap import CARDS_MIN
from models.training.model_report.blocks import Table, percent
from models.training.model_report.inputs import ReportInput, Rows, decide

UNKNOWN, TOO_FEW = "not known", "too few"
DRAWS = 1_000
LEVELS = (2.5, 97.5)
SEED = 0


def money_table(data: ReportInput) -> Table:
    """One row a figure: what was measured, a mean day, and how sure; `not known` where the rows have no times or amounts."""
    truth, words, test = data.test.truth, data.words, data.test
    alerts = decide(test.scores, data.manifest.thresholds)["combined"]
    parts = (
        (f"{words.positives} caught", alerts & truth),
        (f"{words.positives} missed", ~alerts & truth),
        (f"{words.negatives} with an {words.alert}" if words.alert == "alert" else f"{words.negatives} {words.alert}",
         alerts & ~truth),
    )  # fmt: skip
    counted = [(f"{words.alerts}", alerts), *parts]
    rows = [
        (f"number of {name}", f"{int(part.sum()):,}", *_per_day(data, part.astype(np.float64)))
        for name, part in counted
    ]
    for name, part in parts:
        known = test.amount is not None
        amounts = np.where(part, test.amount, 0.0) if test.amount is not None else np.zeros(len(truth))
        rows.append(
            (f"amount of {name}", f"{amounts.sum():,.2f}" if known else UNKNOWN,
             *(_per_day(data, amounts) if known else (UNKNOWN, UNKNOWN)))
        )  # fmt: skip
    rows.append((f"share of the amount of {words.positives} that is caught", *_share_caught(data, alerts)))
    return Table(
        "A day, and in money, on the test rows: amounts as the rows have them, one currency or not",
        ("", "in all", "a day, in the mean", "from and to"),
        tuple(rows),
    )


def _per_day(data: ReportInput, values: NDArray[np.float64]) -> tuple[str, str]:
    """Mean of a day, and the lowest and highest day."""
    if data.test.day is None or not len(values):
        return UNKNOWN, UNKNOWN
    _, day = np.unique(data.test.day, return_inverse=True)
    sums = np.bincount(day, values)
    return f"{sums.mean():,.1f}", f"{sums.min():,.1f} to {sums.max():,.1f}"


def _share_caught(data: ReportInput, alerts: Rows) -> tuple[str, str, str]:
    """Of the money, with a 95 % interval: cards are drawn, each as often as a Poisson draw says."""
    test = data.test
    if test.amount is None:
        return UNKNOWN, "", UNKNOWN
    lost = np.where(test.truth, test.amount, 0.0)
    if not lost.sum():
        return "none", "", TOO_FEW
    share = float(lost[alerts].sum() / lost.sum())
    if test.card is None:
        return percent(share), "", UNKNOWN
    cards, number = np.unique(test.card[test.truth], return_inverse=True)
    if len(cards) < CARDS_MIN:
        return percent(share), "", TOO_FEW
    of_card = np.bincount(number, test.amount[test.truth])
    caught = np.bincount(number, np.where(alerts, test.amount, 0.0)[test.truth])
    drawn = np.random.default_rng(SEED).poisson(1.0, (DRAWS, len(cards)))
    whole = drawn @ of_card
    low, high = np.percentile((drawn @ caught)[whole > 0] / whole[whole > 0], LEVELS)
    return percent(share), "", f"95% interval {percent(float(low))} to {percent(float(high))}"
