"""Stage 3: features to scores, outcomes and reasons by the champion, and beside it, without effect, by the challenger."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.policy.lists import Lists
from models.policy.program import Program, thresholds_of
from models.scoring.scores import Scores, crossed
from models.scoring.shapley import explain, rows_like
from models.sources.events import Events
from schemas.alert import Reason
from schemas.control import MovedThresholds
from schemas.manifest import Thresholds
from services.scorer.decide import Outcomes, decide
from services.scorer.lists import ListTable
from services.scorer.reason_limit import NOTHING_GIVEN, ReasonWindow, choose, severity
from services.scorer.ruling import PolicyFailedError, Ruled, rule
from services.scorer.scored import ChallengerScores, Matrix
from services.swapping.live import Model, Models
from services.swapping.running import run, scored, unseen


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The share of the alerts that is let through, chosen by the batch's ids."""

    transaction_ids: Sequence[str]
    share: float


@dataclass(frozen=True, slots=True)
class Deciding:
    """The policies, and what they read beside features and scores. lists: None where they ask none.

    shadow: evaluated without effect. program: None where thresholds alone decide. moved: where its budget has put them.
    """

    events: Events
    program: Program | None
    shadow: Program | None = None
    lists: ListTable | None = None
    moved: MovedThresholds | None = None

    @property
    def held_lists(self) -> Lists | None:
        """What the lists say now."""
        return self.lists.lists if self.lists is not None else None


@dataclass(frozen=True, slots=True)
class Breaker:
    """How many alerts of a minute of the log are given reasons. timestamps_ms: int64[n], of the batch's records."""

    limit: int
    timestamps_ms: NDArray[np.int64]
    window: ReasonWindow


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one model says of a batch, and what follows. reasons: by place in the batch, for alerts that a score raised.

    thresholds: those that counted. ruled, shadow: what the policies said, where there are any; lists_offset: the records of
    `lists` below it were known to them. window: of the breaker, behind the batch; without_reasons: places of alerts that it
    left without any.
    """

    model: Model
    scores: Scores
    outcomes: Outcomes
    reasons: dict[int, tuple[Reason, ...]]
    thresholds: Thresholds
    ruled: Ruled | None = None
    shadow: Ruled | None = None
    lists_offset: int | None = None
    window: ReasonWindow = NOTHING_GIVEN
    without_reasons: frozenset[int] = frozenset()

    @property
    def alerts_of_model(self) -> int:
        """How many cross the bundle's own thresholds: what a new model is watched by, whatever a policy makes of it."""
        if self.ruled is None:
            return int(np.count_nonzero(self.outcomes.alert))
        by_probability, by_anomaly = crossed(self.scores, self.model.identity.thresholds)
        return int(np.count_nonzero(by_probability | by_anomaly))


async def judge(
    models: Models,
    model: Model,
    features: Matrix,
    control: ControlGroup,
    deciding: Deciding | None = None,
    breaker: Breaker | None = None,
) -> Judgement:
    """The champion's judgement. A new champion that fails is rolled back, and the previous one judges the batch."""
    try:
        judged, model_s = await _judged(models, model, features, control, deciding, breaker)
    except PolicyFailedError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no common base
        before = models.back_from(model, error)
        if before is None:
            raise
        judged, model_s = await _judged(models, before, features, control, deciding, breaker)
    models.count(judged.model, len(features), judged.alerts_of_model, model_s)
    return judged


async def judge_challenger(models: Models, challenger: Model, features: Matrix) -> ChallengerScores | None:
    """The challenger's scores; None where it fails, which affects nothing else."""
    identity = challenger.identity

    def said(scores: Scores) -> ChallengerScores:
        return ChallengerScores(identity.model, scores, decide(scores, identity.thresholds).alert)

    return await unseen(models, challenger, features, said)


def _shadow(models: Models, deciding: Deciding, model: Model, features: Matrix, scores: Scores) -> Ruled | None:
    """What the policy in shadow says; None where it fails, which affects nothing else."""
    if deciding.shadow is None:
        return None
    thresholds = thresholds_of(deciding.shadow, model.identity.thresholds)
    try:
        return rule(deciding.shadow, deciding.events, features, scores, thresholds, 0.0, deciding.held_lists)[1]
    except PolicyFailedError as error:
        models.drop_shadow_policy(deciding.shadow, str(error))
        return None


async def _judged(
    models: Models,
    model: Model,
    features: Matrix,
    control: ControlGroup,
    deciding: Deciding | None,
    breaker: Breaker | None,
) -> tuple[Judgement, float]:
    """The judgement, and the seconds that the scores took."""
    scores, model_s = await scored(model, features)
    thresholds, ruled, shadow, lists_offset = model.identity.thresholds, None, None, None
    program = deciding.program if deciding is not None else None
    if deciding is None or program is None:
        outcomes = decide(scores, thresholds, control.transaction_ids, control.share)
    else:
        thresholds = thresholds_of(program, thresholds, deciding.moved)
        outcomes, ruled = rule(
            program, deciding.events, features, scores, thresholds, control.share, deciding.held_lists
        )
    if deciding is not None:
        lists_offset = deciding.lists.next_offset if deciding.lists is not None else None
        shadow = _shadow(models, deciding, model, features, scores)
    alerts, left_out, window = _with_reasons(outcomes, scores, breaker)
    reasons: dict[int, tuple[Reason, ...]] = {}
    if alerts:
        triggers = [outcomes.triggers(row) for row in alerts]
        rows = rows_like(model.session.bundle, triggers)
        found = await run(model, rows, explain, model.session, features[alerts], triggers)
        reasons = dict(zip(alerts, found, strict=True))
    found_all = Judgement(
        model, scores, outcomes, reasons, thresholds, ruled, shadow, lists_offset, window, frozenset(left_out)
    )
    return found_all, model_s


def _with_reasons(
    outcomes: Outcomes, scores: Scores, breaker: Breaker | None
) -> tuple[list[int], list[int], ReasonWindow]:
    """Places of the alerts that are given reasons, and of those that are not; what a rule alone raises has its words."""
    rows = np.flatnonzero(outcomes.by_score)
    if breaker is None or not len(rows):
        return rows.tolist(), [], breaker.window if breaker is not None else NOTHING_GIVEN
    how_severe = severity(Scores(*(column[rows] for column in scores)))
    chosen, window = choose(breaker.window, breaker.limit, breaker.timestamps_ms[rows], how_severe)
    return rows[chosen].tolist(), rows[~chosen].tolist(), window
