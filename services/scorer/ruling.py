"""Stage 4 with a policy: scores, fields and features to rules that hold, actions and alerts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.policy.lists import Lists
from models.policy.program import Batch, Program, Ruling, words_of
from models.scoring.scores import Scores, crossed
from models.sources.events import Events
from schemas import codec
from schemas.manifest import Thresholds
from schemas.policy import Action
from services.scorer.decide import BoolArray, Outcomes, let_through
from services.scorer.scored import Matrix


class PolicyFailedError(Exception):
    """A policy raises on a batch, which is no fault of the model's."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """What a policy said of a batch: its program, which rules hold, and the actions before and behind the control group."""

    program: Program
    ruling: Ruling
    said: Sequence[Action]
    let_through: BoolArray
    alert: BoolArray

    def withheld(self, row: int) -> Action | None:
        """What was said of an alert that the control group lets through."""
        return self.said[row] if self.let_through[row] and self.said[row] != "approve" else None

    def words(self, row: int) -> tuple[str, ...]:
        """The rules that hold, for people."""
        return words_of(self.program.policy, self.ruling.rules.get(row, ()))

    def columns(self, thresholds: Thresholds) -> dict[str, list[Any]]:
        """What scores say of it, row by row, by the names of their fields. thresholds: those that counted."""
        actions, rows = list(self.said), len(self.said)
        withheld: list[Any] = [codec.LEFT_OUT] * rows
        for row in np.flatnonzero(self.let_through).tolist():
            if (said := self.withheld(row)) is not None:
                actions[row], withheld[row] = "approve", said
        rules, shadow_rules = ([codec.LEFT_OUT] * rows for _ in range(2))
        for held, column in ((self.ruling.rules, rules), (self.ruling.shadow_rules, shadow_rules)):
            for row, names in held.items():
                column[row] = names
        moving: Any = codec.LEFT_OUT
        if self.program.policy.budget is not None:
            moving = (thresholds.probability, thresholds.anomaly_percentile)
        return {
            "policy": [self.program.name] * rows,
            "action": actions,
            "withheld_action": withheld,
            "rules": rules,
            "shadow_rules": shadow_rules,
            "thresholds": [moving] * rows,
        }


def rule(
    program: Program,
    events: Events,
    features: Matrix,
    scores: Scores,
    thresholds: Thresholds,
    control_share: float = 0.0,
    lists: Lists | None = None,
) -> tuple[Outcomes, Ruled]:
    """Outcomes as `decide` has them, and what the policy said. Raises PolicyFailedError.

    An alert is what crosses a threshold, and what a rule wants reviewed or declined; none is what a rule approves.
    """
    by_probability, by_anomaly = crossed(scores, thresholds)
    try:
        batch = Batch(events, features, scores.probability, scores.anomaly_percentile, lists)
        ruling = program.rule(batch, by_probability, by_anomaly)
    except Exception as error:
        raise PolicyFailedError(f"policy {program.name} fails with {type(error).__name__}") from error
    kept = ~ruling.approved
    outcomes = Outcomes(by_probability & kept, by_anomaly & kept, np.zeros(len(kept), np.bool_), ruling.alerting)
    outcomes = replace(
        outcomes, let_through=let_through(outcomes.alert, events.ids if control_share else (), control_share)
    )
    return outcomes, Ruled(program, ruling, ruling.actions(), outcomes.let_through, outcomes.alert)
