"""Stage 4: scores to outcomes. Pure, and the same wherever it runs."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.scoring.scores import Scores
from schemas.alert import Trigger
from schemas.manifest import Thresholds

BoolArray = NDArray[np.bool_]

SAMPLE, CONTROL = 0, 0x9E3779B9
"""Purposes of a random choice by id."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Which thresholds each transaction crossed, and which alerts are let through: boolean arrays of one length."""

    by_probability: BoolArray
    by_anomaly: BoolArray
    let_through: BoolArray

    @property
    def alert(self) -> BoolArray:
        """Whether either was crossed."""
        return self.by_probability | self.by_anomaly

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
    """Compare in float32, the scores' own precision, so that every reader of the score finds the same outcome.

    control_share: of the alerts, chosen by transaction id, which then are needed. A blocked payment never shows what it
    was; these do, so quality stays measurable.
    """
    by_probability = scores.probability >= np.float32(thresholds.probability)
    by_anomaly = scores.anomaly_percentile >= np.float32(thresholds.anomaly_percentile)
    let_through = np.zeros(len(by_probability), np.bool_)
    if control_share > 0:
        rows = np.flatnonzero(by_probability | by_anomaly)
        let_through[rows] = _chosen([transaction_ids[row] for row in rows.tolist()], control_share, CONTROL)
    return Outcomes(by_probability, by_anomaly, let_through)


def recorded(alert: Sequence[bool], transaction_ids: Sequence[str], share: float) -> list[int]:
    """Places whose decision is recorded: every alert, and a random share of the rest, by id, so that every run agrees."""
    chosen = _chosen(transaction_ids, share, SAMPLE) | np.asarray(alert, np.bool_)
    return [int(row) for row in np.flatnonzero(chosen)]


def _chosen(transaction_ids: Sequence[str], share: float, purpose: int) -> BoolArray:
    """A share of the ids, the same in every process; choices for different purposes do not depend on each other."""
    crcs = np.array([zlib.crc32(transaction_id.encode(), purpose) for transaction_id in transaction_ids], np.uint32)
    return _mixed(crcs ^ np.uint32(purpose)) < share * 2**32


def _mixed(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """MurmurHash3's finaliser: a CRC is linear, and ids that count upwards would all fall into a few ranges of it."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
