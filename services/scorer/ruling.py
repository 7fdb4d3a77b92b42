"""Stage 4 with a policy: scores, fields and features to rules that hold, actions and alerts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.policy.lists import Lists
from models.policy.program import Batch, Program, Ruling, words_of
from models.scoring.scores import Scores
from models.sources.events import Events
from schemas.manifest import Thresholds
from schemas.policy import ACTIONS, Action
from services.scorer.decide import BoolArray, Outcomes, crossed, let_through
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

    def fields(self) -> list[dict[str, Any]]:
        """What scores say of it. Rows of which nothing but the action is to be said share their fields."""
        plain = {action: {"policy": self.program.name, "action": action} for action in ACTIONS}
        found: list[dict[str, Any]] = [plain[action] for action in self.said]
        for row in np.flatnonzero(self.let_through).tolist():
            withheld = self.withheld(row)
            found[row] = plain["approve"] | ({} if withheld is None else {"withheld_action": withheld})
        for name, held in (("rules", self.ruling.rules), ("shadow_rules", self.ruling.shadow_rules)):
            for row, rules in held.items():
                found[row] = found[row] | {name: rules}
        return found


def thresholds_of(program: Program | None, of_bundle: Thresholds) -> Thresholds:
    """Those that count: the policy's, where it has any, else the bundle's."""
    if program is None:
        return of_bundle
    own = program.policy.thresholds
    if own.probability is None and own.anomaly_percentile is None:
        return of_bundle
    given = {name: value for name in ("probability", "anomaly_percentile") if (value := getattr(own, name)) is not None}
    return of_bundle.model_copy(update=given)


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
    outcomes = replace(outcomes, let_through=let_through(outcomes.alert, events.ids, control_share))
    return outcomes, Ruled(program, ruling, ruling.actions(), outcomes.let_through, outcomes.alert)
