"""Partial sums of a partition, written to `scoring-metrics` about once a second inside the transaction they count.

What is committed before they are written travels in the note of the committed offset (`carried_sums.py`).
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from msgspec import Raw
from numpy.typing import NDArray

from models.scoring.histograms import FeatureBins
from models.scoring.scores import Scores
from schemas import codec
from schemas.budget import BudgetSums
from schemas.control import BundleRef
from schemas.metric import ScoringMetric
from schemas.reference import FeatureHistogram
from services.engine.carried_sums import carried, without_sums

BINS = 20
INTERVAL_S = 1.0

Mask = NDArray[np.bool_]


class Budgeted(Protocol):
    """What counts for a policy's budget beside the sums."""

    policy: BundleRef

    def reset(self) -> None:
        """After a record was written."""

    def sums(self) -> BudgetSums:
        """What it counted since."""


class PartialSums:
    """Sums since the last record written. A batch that is not committed is thrown away with its worker's state.

    reference_sent: whether the reference that the sums are compared with was written; it is, with the first sums.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        model: str,
        features: Sequence[FeatureHistogram],
        now_s: float,
        challenger: str | None = None,
        budget: Budgeted | None = None,
    ) -> None:
        """features: the reference's, in the spec's order. challenger: what scores the same payments as challenger.

        budget: counts for the policy's budget, where it has one.
        """
        self.budget = budget
        self._bins = FeatureBins(features)
        self._used = np.flatnonzero((np.arange(self._bins.empty().shape[1]) < self._bins.bins[:, None]).ravel())
        self.reference_sent = False
        self._topic, self._partition, self._model, self._challenger = topic, partition, model, challenger
        self._metric = codec.record_type(ScoringMetric, frozenset(("budget",)))
        self._reset(now_s)

    def _reset(self, now_s: float) -> None:
        self._since_s = now_s
        self._first_offset = -1
        self._last_offset = -1
        self._until_ms = 0
        self._records = self._scored = self._alerts = self._dead_letters = self._late = self._let_through = 0
        self._amount = self._alert_amount = 0.0
        self._clock_ms = 0
        self._features = self._bins.empty()
        self._probability = np.zeros(BINS, np.int64)
        self._percentile = np.zeros(BINS, np.int64)
        self._challenger_counts = np.zeros(3, np.int64)
        self._challenger_probability = np.zeros(BINS, np.int64)
        self._challenger_percentile = np.zeros(BINS, np.int64)
        if self.budget is not None:
            self.budget.reset()

    def count(self, first_offset: int, last_offset: int, until_ms: int, records: int, dead_letters: int) -> None:
        """Count a batch's inputs."""
        if self._first_offset < 0:
            self._first_offset = first_offset
        self._last_offset, self._until_ms = last_offset, until_ms
        self._records += records
        self._dead_letters += dead_letters

    def count_scores(
        self,
        features: NDArray[np.float32],
        scores: Scores,
        alert: Mask,
        clock_ms: int,
        *,
        let_through: Mask | None = None,
        late: Mask | None = None,
        amount: NDArray[np.float64] | None = None,
    ) -> None:
        """Count a batch's scores, and the features float32[n, F] behind them. clock_ms: newest event time seen.

        let_through, late, amount: of payments.
        """
        self._bins.count(features, self._features)
        self._clock_ms = max(0, clock_ms)
        self._scored += len(alert)
        self._alerts += int(np.count_nonzero(alert))
        if let_through is not None:
            self._let_through += int(np.count_nonzero(let_through))
        if late is not None:
            self._late += int(np.count_nonzero(late))
        if amount is not None:
            self._amount += float(amount.sum())
            self._alert_amount += float(amount[alert].sum())
        self._probability += _histogram(scores.probability, 1.0)
        self._percentile += _histogram(scores.anomaly_percentile, 100.0)

    def count_challenger(self, scores: Scores, alert: Mask, champion: Mask) -> None:
        """Count the challenger's scores of the same batch; `champion` is which of it the champion alerted."""
        self._challenger_counts += np.count_nonzero([np.ones_like(alert), alert, alert & champion], axis=1)
        self._challenger_probability += _histogram(scores.probability, 1.0)
        self._challenger_percentile += _histogram(scores.anomaly_percentile, 100.0)

    def of(self, model: str, challenger: str | None, policy: BundleRef | None = None) -> bool:
        """Whether what is counted is of these models, and for the budget of this policy."""
        counted = None if self.budget is None else self.budget.policy
        return (self._model, self._challenger, counted) == (model, challenger, policy)

    @property
    def empty(self) -> bool:
        """Whether nothing was counted since the last record."""
        return self._records == 0

    def due(self, now_s: float) -> bool:
        """Whether it is time to write."""
        return not self.empty and now_s - self._since_s >= INTERVAL_S

    def carried(self, reasons: list[Any] | None = None) -> str:
        """The sums as text for the note of a committed offset; empty without any. 5 us of a transaction's 3 ms.

        reasons: the breaker's window, which goes with them.
        """
        if self.empty:
            return "" if reasons is None else without_sums(reasons)
        scores = [self._probability, self._percentile]
        if self._challenger is not None:
            scores += [self._challenger_probability, self._challenger_percentile]
        counts = np.concatenate([*scores, self._features.ravel()[self._used]])
        return carried(self._numbers(), BINS, self._bins.bins, counts, self._budget_sums(), reasons)

    def take(self, now_s: float) -> bytes:
        """The record to write; the sums start over."""
        value = codec.encode(
            self._metric(
                source_topic=self._topic,
                source_partition=self._partition,
                probability_histogram=tuple(self._probability.tolist()),
                anomaly_percentile_histogram=tuple(self._percentile.tolist()),
                feature_histograms=self._bins.lists(self._features),
                budget=codec.LEFT_OUT if (budget := self._budget_sums()) is None else Raw(codec.write(budget)),
                **self._challenger_histograms(),
                **self._numbers(),
            )
        )
        self.reference_sent = True
        self._reset(now_s)
        return value

    def _budget_sums(self) -> BudgetSums | None:
        return None if self.budget is None else self.budget.sums()

    def _numbers(self) -> dict[str, Any]:
        """All but where they are from, and the histograms."""
        numbers: dict[str, Any] = {
            "first_offset": self._first_offset,
            "last_offset": self._last_offset,
            "until_ms": self._until_ms,
            "model": self._model,
            "records": self._records,
            "scored": self._scored,
            "alerts": self._alerts,
            "dead_letters": self._dead_letters,
            "late": self._late,
            "amount_sum": self._amount,
            "alert_amount_sum": self._alert_amount,
            "clock_ms": self._clock_ms,
            "let_through": self._let_through,
        }
        if self._challenger is not None:
            scored, alerts, both = self._challenger_counts.tolist()
            numbers["challenger"] = self._challenger
            numbers |= {"challenger_scored": scored, "challenger_alerts": alerts, "both_alerts": both}
        return numbers

    def _challenger_histograms(self) -> dict[str, Any]:
        if self._challenger is None:
            return {}
        return {
            "challenger_probability_histogram": tuple(self._challenger_probability.tolist()),
            "challenger_anomaly_percentile_histogram": tuple(self._challenger_percentile.tolist()),
        }


def _histogram(
    values: np.ndarray[tuple[int], np.dtype[np.float32]], top: float
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    places = np.minimum((values * (BINS / top)).astype(np.int64), BINS - 1)
    return np.bincount(places, minlength=BINS)
