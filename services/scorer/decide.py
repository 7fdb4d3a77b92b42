"""Stage 4: scores to outcomes. Pure, and the same wherever it runs."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features.crc32 import crc32_all
from models.features.index import Keys
from models.scoring.scores import Scores, crossed
from schemas.alert import Trigger
from schemas.manifest import Thresholds

BoolArray = NDArray[np.bool_]

SAMPLE, CONTROL = 0, 0x9E3779B9
"""Purposes of a random choice by id."""

ROWS_MIN = 32
"""Fewer ids cost less one by one."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Which thresholds each transaction crossed, and which alerts are let through: boolean arrays of one length.

    by_rule: which ones a rule of the policy wants to be looked at; None where there is no policy.
    """

    by_probability: BoolArray
    by_anomaly: BoolArray
    let_through: BoolArray
    by_rule: BoolArray | None = None

    @property
    def by_score(self) -> BoolArray:
        """Whether either threshold was crossed."""
        return self.by_probability | self.by_anomaly

    @property
    def alert(self) -> BoolArray:
        """Whether either was crossed, or a rule asks for it."""
        return self.by_score if self.by_rule is None else self.by_score | self.by_rule

    def triggers(self, row: int) -> tuple[Trigger, ...]:
        """Which thresholds the transaction at `row` crossed."""
        crossed: tuple[tuple[Trigger, BoolArray], ...] = (
            ("probability", self.by_probability),
            ("anomaly_percentile", self.by_anomaly),
        )
        return tuple(trigger for trigger, where in crossed if where[row])


def decide(
    scores: Scores, thresholds: Thresholds, transaction_ids: Sequence[str] = (), control_share: float = 0.0
) -> Outcomes:
    """Which thresholds are crossed, and what of it is let through.

    control_share: of the alerts, chosen by transaction id, which then are needed. A blocked payment never shows what it
    was; these do, so quality stays measurable.
    """
    by_probability, by_anomaly = crossed(scores, thresholds)
    return Outcomes(
        by_probability, by_anomaly, let_through(by_probability | by_anomaly, transaction_ids, control_share)
    )


def let_through(alert: BoolArray, transaction_ids: Sequence[str], share: float) -> BoolArray:
    """Which alerts are of the control group."""
    chosen = np.zeros(len(alert), np.bool_)
    if share > 0:
        rows = np.flatnonzero(alert)
        chosen[rows] = _chosen([transaction_ids[row] for row in rows.tolist()], share, CONTROL)
    return chosen


def recorded(alert: BoolArray, transaction_ids: Sequence[str], share: float, words: Keys | None = None) -> list[int]:
    """Places whose decision is recorded: every alert, and a random share of the rest, by id, so that every run agrees.

    words: the ids as `index.keys_of` has them, where they are at hand.
    """
    if share <= 0:
        chosen = alert
    elif words is None or len(transaction_ids) < ROWS_MIN:
        chosen = _chosen(transaction_ids, share, SAMPLE) | alert
    else:
        chosen = _share(crc32_all(transaction_ids, words, SAMPLE), share, SAMPLE) | alert
    return [int(row) for row in np.flatnonzero(chosen)]


def _chosen(transaction_ids: Sequence[str], share: float, purpose: int) -> BoolArray:
    crcs = np.array([zlib.crc32(transaction_id.encode(), purpose) for transaction_id in transaction_ids], np.uint32)
    return _share(crcs, share, purpose)


def _share(crcs: NDArray[np.uint32], share: float, purpose: int) -> BoolArray:
    """A share of the ids, the same in every process; choices for different purposes do not depend on each other."""
    return _mixed(crcs ^ np.uint32(purpose)) < share * 2**32


def _mixed(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """MurmurHash3's finaliser: a CRC is linear, and ids that count upwards would all fall into a few ranges of it."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
