"""A model's work: its scores and their time, in a thread where that is worth it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.scoring.scores import Scores
from services.swapping.live import Model, Models

T = TypeVar("T")


async def scored(model: Model, features: NDArray[np.float32]) -> tuple[Scores, float]:
    """The scores of float32[n, F], and the processor's seconds that they took. Raises whatever the model does."""
    return await run(model, len(features), _timed, model, features)


async def unseen(
    models: Models, challenger: Model, features: NDArray[np.float32], said: Callable[[Scores], T]
) -> T | None:
    """What a challenger says by its scores; None where it fails, which drops it and affects nothing else."""
    try:
        scores, _ = await scored(challenger, features)
        return said(scores)
    except Exception as error:  # ONNX Runtime's errors have no common base
        models.drop_challenger(challenger, f"it fails with {type(error).__name__}")
        return None


async def run(model: Model, rows: int, function: Callable[..., T], *arguments: Any) -> T:
    """Run what takes the model about so many rows: in a thread, unless that is over sooner than a thread is reached."""
    if rows <= model.session.quick_rows_max:
        return function(*arguments)
    return await in_thread(model, function, *arguments)


async def in_thread(model: Model, function: Callable[..., T], *arguments: Any) -> T:
    """Run it beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(model.executor, function, *arguments)


def _timed(model: Model, features: NDArray[np.float32]) -> tuple[Scores, float]:
    # the thread's own time, so that a busy machine makes no model look slow; a GPU's work is not in it
    clock = time.thread_time if model.session.provider == "cpu" else time.perf_counter
    started_s = clock()
    scores = model.session.run(features)
    if not all(np.isfinite(column).all() for column in scores):
        raise FloatingPointError("a score is no number")
    return scores, clock() - started_s
