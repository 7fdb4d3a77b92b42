"""The budget of a policy: how much a day its thresholds may ask for, and what carries it between scorer and monitor.

A scorer counts on `scoring-metrics` what its thresholds ask for and what others within the bounds would. The monitor
computes thresholds from that and commands them on `control`. So each threshold follows from committed records, and the
outputs name the one that decided.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import (
    EventTimeMs,
    Group,
    LargeCount,
    Message,
    OffsetOrNone,
    Part,
    Percentile,
    Positive,
    Probability,
)
from schemas.control import BundleRef, MovedThresholds
from schemas.times import time_zone_problem

STEPS = 400
"""Thresholds between the bounds, each a little stricter than the one before."""

DAYS_MAX = 8
"""Days that a record counts: the newest ones."""

Counted = Literal["alerts", "reviews", "challenged_good"]
PER_DAY_MAX = 1e12
DAY_MAX = 50_000
"""Event times end in 2100."""


class ProbabilityBounds(Part):
    """Between which the probability's threshold moves."""

    lowest: Probability = Field(description="Never below.")
    highest: Probability = Field(description="Never above.")


class PercentileBounds(Part):
    """Between which the percentile's threshold moves."""

    lowest: Percentile = Field(description="Never below.")
    highest: Percentile = Field(description="Never above.")


class Budget(Part):
    """So much a day. Thresholds without bounds here stay where they are."""

    counts: Counted = Field(
        "alerts",
        description="alerts; reviews: payments whose action is review; challenged_good: money of challenged payments, each "
        "amount times the probability that it is no fraud.",
    )
    per_day: Annotated[float, Field(ge=0.01, le=PER_DAY_MAX)] = Field(description="How many, or how much, a day.")
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="Where a day begins: an IANA name such as Europe/Paris. A payment is of the day of its own time."
    )
    probability: ProbabilityBounds | None = Field(None, description="Bounds of the probability's threshold.")
    anomaly_percentile: PercentileBounds | None = Field(None, description="Bounds of the percentile's threshold.")

    @model_validator(mode="after")
    def _consistent(self) -> "Budget":
        for problem in self._problems():
            raise PydanticCustomError("spec", "{problem}", {"problem": problem, "path": []})
        return self

    def _problems(self) -> Iterator[str]:
        if problem := time_zone_problem(self.time_zone):
            yield problem
        if self.probability is None and self.anomaly_percentile is None:
            yield "it bounds no threshold; give probability or anomaly_percentile with lowest and highest"
        for name, bounds in (("probability", self.probability), ("anomaly_percentile", self.anomaly_percentile)):
            if bounds is not None and bounds.lowest >= bounds.highest:
                yield f"the lowest {name} is not below the highest; a threshold could not move"

    def holds(self, moved: MovedThresholds) -> bool:
        """Whether thresholds are within the bounds, and only such as have bounds."""
        pairs = (self.probability, moved.probability), (self.anomaly_percentile, moved.anomaly_percentile)
        return all(
            value is None if bounds is None else value is not None and bounds.lowest <= value <= bounds.highest
            for bounds, value in pairs
        )


Steps = Annotated[tuple[Annotated[int, Field(ge=0, le=STEPS)], ...], Field(max_length=STEPS + 1)]
Weights = Annotated[tuple[Positive, ...], Field(max_length=STEPS + 1)]


class BudgetDay(Message):
    """What was counted of one local day."""

    day: Annotated[int, Field(ge=0, le=DAY_MAX)] = Field(
        description="Days since 1970-01-01, in the budget's time zone."
    )
    payments: LargeCount = Field(description="Payments scored.")
    used: Positive = Field(description="What they used of the budget.")
    fixed: Positive = Field(description="Of it what no threshold with bounds asked for: rules, the other threshold.")
    steps: Steps = Field((), description="Steps that payments reach which the thresholds alone judge, rising.")
    weights: Weights = Field((), description="What the payments of each of these steps would use.")

    @model_validator(mode="after")
    def _each_step_has_a_weight(self) -> "BudgetDay":
        if len(self.steps) != len(self.weights) or len(set(self.steps)) != len(self.steps):
            raise ValueError("not one weight a step")
        return self


class BudgetSums(Message):
    """What a policy's budget counts, beside the other sums."""

    group: Group = Field(description="Consumer group of the scorers.")
    policy: BundleRef = Field(description="The policy.")
    budget: Budget = Field(description="Its budget.")
    days: Annotated[tuple[BudgetDay, ...], Field(max_length=DAYS_MAX)] = Field(
        (), description="The newest days, rising."
    )
    moved: MovedThresholds | None = Field(
        None,
        description="Where the budget had put the thresholds for the newest of them; none: they were the policy's own.",
    )


class KeptDay(Message):
    """A day as the monitor remembers it."""

    counted: BudgetDay = Field(description="All that was counted of it.")
    hours: Annotated[tuple[LargeCount, ...], Field(min_length=24, max_length=24)] = Field(
        description="Payments by local hour."
    )


DAYS_AHEAD_MAX = 2
"""A payment may be dated a day ahead of its record, which may be stamped an hour ahead: what is dated later is no payment."""

KEPT_DAYS_MAX = 7
"""Days that the monitor remembers: today, those ahead of it, and those before that today is compared with."""


class BudgetState(Message):
    """What the monitor knows of one policy line's budget, on `monitor-budgets`."""

    offset: OffsetOrNone = Field(-1, description="Newest record of `scoring-metrics` taken in.")
    sums: BudgetSums = Field(description="The policy and its budget.")
    replaced: BundleRef | None = Field(None, description="The policy before: some partitions may still decide by it.")
    since_ms: EventTimeMs = Field(0, description="Wall-clock time of the first sums of this policy.")
    clock_ms: EventTimeMs = Field(0, description="Newest event time of a payment that was counted.")
    step: Annotated[int, Field(ge=-1, le=STEPS)] = Field(
        -1, description="The step that was commanded last; -1: none, the thresholds are the policy's own."
    )
    commanded_ms: EventTimeMs = Field(0, description="`clock_ms` when it was.")
    commanded_used: Positive = Field(0.0, description="What the day had used by then.")
    days: Annotated[tuple[KeptDay, ...], Field(max_length=KEPT_DAYS_MAX)] = Field(
        (), description="The newest days, rising; what is counted of today may still grow."
    )
