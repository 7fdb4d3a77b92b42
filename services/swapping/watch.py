"""Whether a new model behaves: its alerts and its time, against those of the model that it replaced, on live traffic.

Pure. Counts are of one process; a band has a ratio, for what matters, and room for chance: five standard deviations of a
Poisson count. A model that fails to answer is rolled back at once, without asking here.
"""

from dataclasses import dataclass
from math import sqrt

JUDGED_RECORDS_MIN = 500
"""Below this many payments of either model there is no verdict."""

CHANCE = 5.0
"""Standard deviations of a count that are left to chance."""

BASELINE_RECORDS_MAX = 200_000
"""The old model's counts are halved beyond this, so that they are of its last payments."""


@dataclass(frozen=True, slots=True)
class Bands:
    """records: how long to watch. The ratios bound the new model's alert rate, both ways, and its time a payment."""

    records: int
    alert_ratio_max: float
    latency_ratio_max: float


@dataclass(slots=True)
class Tally:
    """What one model did."""

    batches: int = 0
    records: int = 0
    alerts: int = 0
    model_s: float = 0.0

    def add(self, more: "Tally") -> None:
        """Count more batches."""
        self.batches += more.batches
        self.records += more.records
        self.alerts += more.alerts
        self.model_s += more.model_s
        if self.records > BASELINE_RECORDS_MAX:
            self.batches, self.records = self.batches // 2, self.records // 2
            self.alerts, self.model_s = self.alerts // 2, self.model_s / 2


class Watch:
    """Judges one new model."""

    def __init__(self, baseline: Tally, bands: Bands) -> None:
        self.baseline, self.fresh, self._bands = baseline, Tally(), bands

    @property
    def over(self) -> bool:
        """Whether it has been watched for long enough."""
        return self.fresh.records >= self._bands.records

    def fault(self) -> str | None:
        """What is wrong with the new model, in words; None while nothing is."""
        old, new = self.baseline, self.fresh
        if min(old.records, new.records) < JUDGED_RECORDS_MIN:
            return None
        return self._alerts(old, new) or self._latency(old, new)

    def _alerts(self, old: Tally, new: Tally) -> str | None:
        ratio, expected = self._bands.alert_ratio_max, old.alerts / old.records * new.records
        # the old rate is a count as well: one that happens to be low would make every new model look bad
        unsure = new.records / old.records * CHANCE * sqrt(old.alerts + 1)
        most, least = ratio * (expected + unsure), (expected - unsure) / ratio
        if most + CHANCE * sqrt(most) < new.alerts or new.alerts < least - CHANCE * sqrt(max(0.0, least)):
            return (
                f"it alerts {new.alerts / new.records:.3%} of {new.records} records, "
                f"the model before alerted {old.alerts / old.records:.3%}"
            )
        return None

    def _latency(self, old: Tally, new: Tally) -> str | None:
        ratio = self._bands.latency_ratio_max
        # both: larger batches take longer each, smaller ones longer a payment
        slower_each = new.model_s / new.records > ratio * old.model_s / old.records
        slower_batch = new.model_s / new.batches > ratio * old.model_s / old.batches
        if slower_each and slower_batch:
            return (
                f"it takes {new.model_s / new.records * 1e6:.0f} us a record, "
                f"the model before took {old.model_s / old.records * 1e6:.0f}"
            )
        return None
