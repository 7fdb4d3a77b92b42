"""Stage 3: features to scores, outcomes and reasons by the champion, and beside it, without effect, by the challenger."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from models.scoring.scores import Scores
from models.scoring.shapley import explain, rows_max
from schemas.alert import Reason
from services.scorer.decide import Outcomes, decide
from services.scorer.live import Model, Models
from services.scorer.scored import ChallengerScores, Matrix

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The share of the alerts that is let through, chosen by the batch's ids."""

    transaction_ids: Sequence[str]
    share: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one model says of a batch. reasons: by place in the batch, for alerts."""

    model: Model
    scores: Scores
    outcomes: Outcomes
    reasons: dict[int, tuple[Reason, ...]]


async def judge(models: Models, model: Model, features: Matrix, control: ControlGroup) -> Judgement:
    """The champion's judgement. A new champion that fails is rolled back, and the previous one judges the batch."""
    try:
        judged, model_s = await _judged(model, features, control)
    except Exception as error:  # ONNX Runtime's errors have no common base
        before = models.roll_back(model, f"it fails with {type(error).__name__}")
        if before is None:
            raise
        judged, model_s = await _judged(before, features, control)
    models.count(judged.model, len(features), int(np.count_nonzero(judged.outcomes.alert)), model_s)
    return judged


async def judge_challenger(models: Models, challenger: Model, features: Matrix) -> ChallengerScores | None:
    """The challenger's scores; None where it fails, which affects nothing else."""
    try:
        scores, _ = await _run(challenger, len(features), _timed, challenger, features)
        return ChallengerScores(challenger.identity.model, scores, decide(scores, challenger.identity.thresholds).alert)
    except Exception as error:
        models.drop_challenger(challenger, f"it fails with {type(error).__name__}")
        return None


async def _judged(model: Model, features: Matrix, control: ControlGroup) -> tuple[Judgement, float]:
    """The judgement, and the seconds that the scores took."""
    scores, model_s = await _run(model, len(features), _timed, model, features)
    outcomes = decide(scores, model.identity.thresholds, control.transaction_ids, control.share)
    alerts = np.flatnonzero(outcomes.alert).tolist()
    reasons: dict[int, tuple[Reason, ...]] = {}
    if alerts:
        triggers = [outcomes.triggers(row) for row in alerts]
        rows = rows_max(model.session.bundle, len(alerts))
        found = await _run(model, rows, explain, model.session, features[alerts], triggers)
        reasons = dict(zip(alerts, found, strict=True))
    return Judgement(model, scores, outcomes, reasons), model_s


def _timed(model: Model, features: Matrix) -> tuple[Scores, float]:
    # the thread's own time, so that a busy machine makes no model look slow; a GPU's work is not in it
    clock = time.thread_time if model.session.provider == "cpu" else time.perf_counter
    started_s = clock()
    scores = model.session.run(features)
    if not all(np.isfinite(column).all() for column in scores):
        raise FloatingPointError("a score is no number")
    return scores, clock() - started_s


async def _run(model: Model, rows: int, function: Callable[..., T], *arguments: Any) -> T:
    """Run what takes the model about so many rows: in a thread, unless that is over sooner than a thread is reached."""
    if rows <= model.session.quick_rows_max:
        return function(*arguments)
    return await asyncio.get_running_loop().run_in_executor(model.executor, function, *arguments)
