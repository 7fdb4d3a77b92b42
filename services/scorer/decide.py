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


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Which thresholds each transaction crossed: three boolean arrays of one length."""

    by_probability: BoolArray
    by_anomaly: BoolArray

    @property
    def alert(self) -> BoolArray:
        """Whether either was crossed."""
        return self.by_probability | self.by_anomaly

    def triggers(self, place: int) -> tuple[Trigger, ...]:
        """Which thresholds the transaction at `place` crossed."""
        crossed: tuple[tuple[Trigger, BoolArray], ...] = (
            ("probability", self.by_probability),
            ("anomaly_percentile", self.by_anomaly),
        )
        return tuple(trigger for trigger, where in crossed if where[place])


def decide(scores: Scores, thresholds: Thresholds) -> Outcomes:
    """Compare in float32, the scores' own precision, so that every reader of the score finds the same outcome."""
    return Outcomes(
        by_probability=scores.probability >= np.float32(thresholds.probability),
        by_anomaly=scores.anomaly_percentile >= np.float32(thresholds.anomaly_percentile),
    )


def recorded(alert: Sequence[bool], transaction_ids: Sequence[str], share: float) -> list[int]:
    """Places whose decision is recorded: every alert, and a random share of the rest, by id, so that every run agrees."""
    crcs = np.array([zlib.crc32(transaction_id.encode()) for transaction_id in transaction_ids], np.uint32)
    chosen = (_mixed(crcs) < share * 2**32) | np.asarray(alert, np.bool_)
    return [int(place) for place in np.flatnonzero(chosen)]


def _mixed(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """MurmurHash3's finaliser: a CRC is linear, and ids that count upwards would all fall into a few ranges of it."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
