"""A new model that cannot answer: the one before judges the same batch, and no one loses a payment."""

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.load import load_bundle
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from schemas.control import Control
from services.observability.metrics import Metrics
from services.scorer.judge import ControlGroup, judge, judge_challenger
from services.scorer.scored import Identity
from services.swapping.live import Model, Models
from services.swapping.watch import Bands
from tests.models.bundle.making import COMMITTED

BUNDLE = load_bundle(Path(COMMITTED))
ROWS = np.zeros((40, len(BUNDLE.manifest.feature_spec.names)), np.float32)
NO_CONTROL_GROUP = ControlGroup([""] * len(ROWS), 0.0)
COMMAND = Control(kind="command", group="g", channel="champion", command_id="1", at_ms=1, by="us")


class Raises(ModelSession):
    """A session whose runtime fails, as ONNX Runtime does: with an error of its own kind."""

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Never answers."""
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL")


class NoNumbers(ModelSession):
    """A session that answers with NaN."""

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Scores that are no numbers."""
        return Scores(*(np.full(len(matrix), np.nan, np.float32) for _ in Scores._fields))


@pytest.fixture
def executor() -> Iterator[Executor]:
    """Where models run."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def model(kind: type[ModelSession], executor: Executor) -> Model:
    """The committed bundle on a session of this kind."""
    session, manifest = kind(BUNDLE, "cpu"), BUNDLE.manifest
    identity = Identity(session.model_name, BUNDLE.digest, manifest.thresholds)
    return Model(session, identity, manifest.feature_spec, manifest.feature_spec.digest(), executor)


def models(executor: Executor) -> Models:
    """A sound champion."""
    return Models(model(ModelSession, executor), Bands(1000, 3.0, 5.0), Metrics(), "g")


@pytest.mark.parametrize("kind", [Raises, NoNumbers])
async def test_a_new_champion_that_fails_is_rolled_back_and_the_batch_judged_by_the_one_before(
    executor: Executor, kind: type[ModelSession]
) -> None:
    """At its first batch; a second partition that had taken the bad one gets the good one too."""
    live = models(executor)
    good, bad = live.champion, model(kind, executor)
    live.swap(bad, COMMAND)
    for _ in range(2):
        judged = await judge(live, bad, ROWS, NO_CONTROL_GROUP)
        assert judged.model is good
        assert np.isfinite(judged.scores.probability).all()
    assert live.champion is good
    assert live.answers["champion"].self_initiated
    assert live.answers["champion"].command.rollback
    assert "fails with" in (live.answers["champion"].command.why or "")


async def test_a_champion_that_is_not_new_and_fails_ends_the_process(executor: Executor) -> None:
    """There is nothing to go back to: better no score than a wrong one."""
    live = Models(model(NoNumbers, executor), Bands(1000, 3.0, 5.0), Metrics(), "g")
    with pytest.raises(FloatingPointError):
        await judge(live, live.champion, ROWS, NO_CONTROL_GROUP)


async def test_a_challenger_that_fails_is_dropped_and_the_champion_never_notices(executor: Executor) -> None:
    """Counted once; its channel's answer says why."""
    live = models(executor)
    bad = model(Raises, executor)
    live.set_challenger(bad, COMMAND.model_copy(update={"channel": "challenger"}))
    assert await judge_challenger(live, bad, ROWS) is None
    assert live.challenger is None
    assert live.answers["challenger"].current_bundle is None
    assert "RuntimeError" in (live.answers["challenger"].reason or "")
    assert (await judge(live, live.champion, ROWS, NO_CONTROL_GROUP)).model is live.champion


class Threads(ModelSession):
    """A session that tells in which threads it ran."""

    seen: ClassVar[set[int]] = set()

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """As the real one."""
        self.seen.add(threading.get_ident())
        return super().run(matrix)


@pytest.mark.parametrize(("quick_rows_max", "here"), [(len(ROWS), True), (len(ROWS) - 1, False)])
async def test_batches_that_a_model_is_quick_at_run_without_a_thread(
    executor: Executor, quick_rows_max: int, here: bool
) -> None:
    """The same bits either way; larger ones leave the loop to the other partitions."""
    told = model(Threads, executor)
    told.session.quick_rows_max = quick_rows_max
    Threads.seen.clear()
    live = Models(told, Bands(1000, 3.0, 5.0), Metrics(), "g")
    judged = await judge(live, told, ROWS, NO_CONTROL_GROUP)
    assert (threading.get_ident() in Threads.seen) is here
    assert judged.scores.probability.tobytes() == ModelSession(BUNDLE, "cpu").run(ROWS).probability.tobytes()


async def test_the_new_model_is_kept_after_the_watch(executor: Executor) -> None:
    """Then the one before is freed."""
    live = models(executor)
    new = model(ModelSession, executor)
    for _ in range(20):
        await judge(live, live.champion, ROWS, NO_CONTROL_GROUP)
    live.swap(new, COMMAND)
    assert live.watched
    while live.watched:
        assert (await judge(live, live.champion, ROWS, NO_CONTROL_GROUP)).model is new
    assert live.champion is new
    assert live.previous is None
