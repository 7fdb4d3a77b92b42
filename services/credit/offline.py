"""Judges a finite list of applications with the stream's own mapping, model and outcomes, without Kafka."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.features.attributes import AttributeMapping, Value
from models.policy.applications import attribute_values
from models.policy.program import Program
from models.scoring.adverse_action import adverse_reasons
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from schemas.alert import Reason
from schemas.credit import ADVERSE_ACTIONS_MAX, CreditOutcome
from services.credit.ruling import decide

BATCH = 200


@dataclass(frozen=True, slots=True)
class Judgement:
    """n applications in the order given. Where `rejected` holds why, the scores are NaN and there is no outcome."""

    scores: Scores
    outcome: list[CreditOutcome | None]
    reasons: list[tuple[Reason, ...]]
    rejected: list[str | None]
    adverse: list[tuple[str, ...]]
    """What rules of the policy tell each applicant."""


def judge(
    session: ModelSession,
    applications: Sequence[Mapping[str, Value]],
    report: Callable[[int], None],
    unread: Mapping[int, str] | None = None,
    program: Program | None = None,
) -> Judgement:
    """Scores, outcomes and reasons of each. `report` is called with how many are done. unread: refused rows, and why.

    program: of the policy that decides; without, the bundle's thresholds do.
    """
    if unread:
        kept = [place for place in range(len(applications)) if place not in unread]
        judged = judge(session, [applications[place] for place in kept], report, program=program)
        return _spread(judged, kept, unread)
    mapping, count = AttributeMapping(session.bundle.manifest.feature_spec), len(applications)
    found = Judgement(
        Scores(*(np.full(count, np.nan, np.float32) for _ in Scores._fields)),
        [None] * count,
        [()] * count,
        [None] * count,
        [()] * count,
    )
    for start in range(0, count, BATCH):
        features, problems = mapping.matrix(applications[start : start + BATCH])
        for place, why in problems.items():
            found.rejected[start + place] = why
        places = [place for place in range(start, min(start + BATCH, count)) if found.rejected[place] is None]
        scores = session.run(features)
        for column, values in zip(found.scores, scores, strict=True):
            column[places] = values
        given = [attribute_values(applications[place]) for place in places]
        decided = decide(program, given, features, scores, session.bundle.manifest.thresholds)
        rows, triggers = list(decided.triggers), list(decided.triggers.values())
        reasons = adverse_reasons(session, features[rows], triggers)
        for place, outcome in zip(places, decided.outcomes, strict=True):
            found.outcome[place] = outcome
        for row, words in decided.adverse.items():
            found.adverse[places[row]] = words
        for row, why_not in zip(rows, reasons, strict=True):
            room = ADVERSE_ACTIONS_MAX - len(decided.adverse.get(row, ()))
            found.reasons[places[row]] = why_not[:room]
        report(min(start + BATCH, count))
    return found


def _spread(found: Judgement, kept: Sequence[int], unread: Mapping[int, str]) -> Judgement:
    """Rows at the places `kept`, the unread ones refused between them."""
    count = len(kept) + len(unread)
    spread = Judgement(
        Scores(*(np.full(count, np.nan, np.float32) for _ in Scores._fields)),
        [None] * count,
        [()] * count,
        [unread.get(place) for place in range(count)],
        [()] * count,
    )
    for column, values in zip(spread.scores, found.scores, strict=True):
        column[kept] = values
    for place, row in zip(kept, range(len(kept)), strict=True):
        spread.outcome[place], spread.reasons[place] = found.outcome[row], found.reasons[row]
        spread.rejected[place], spread.adverse[place] = found.rejected[row], found.adverse[row]
    return spread
