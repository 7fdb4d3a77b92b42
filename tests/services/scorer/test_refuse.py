"""A payment on which the model fails: the scorer's own part in making it one dead letter, and what a replay makes of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from schemas.topics import DEAD_LETTERS, SCORES, SCORING_METRICS
from services.engine import worker as runtime_worker
from services.engine.duplicates import WindowLimits
from services.scorer.offline import OfflinePartition
from services.scorer.processor import Limits
from tests.services.engine.fakes import FakeKafka, worker
from tests.services.engine.model import model, processor
from tests.services.harness import payment

POISON_AMOUNT = 666.5


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> int:
    """Payments of one amount get a score that is no number. The place of the amount among the features."""
    run = ModelSession.run
    place = next(i for i, name in enumerate(model().feature_spec.names) if name == "amount")

    def poisoned_run(session: ModelSession, matrix: NDArray[np.float32]) -> Scores:
        scores = run(session, matrix)
        scores.probability[matrix[:, place] == np.float32(POISON_AMOUNT)] = np.nan
        return scores

    monkeypatch.setattr(ModelSession, "run", poisoned_run)
    monkeypatch.setattr(runtime_worker, "BACKOFF_S_MAX", 0.0)
    return place


def pay(i: int) -> dict[str, Any]:
    """The 7th is poison."""
    made = payment(i, card=f"card-{i % 3}")
    return made | {"amount": POISON_AMOUNT} if i == 7 else made


async def test_a_payment_whose_score_is_no_number_is_one_dead_letter_and_in_its_cards_history(
    poisoned: int, tmp_path: Path
) -> None:
    """Its neighbours have the scores of a stream that a restore folds, and the sums count it; a replay finds the same."""
    kafka = FakeKafka()
    for i in range(20):
        kafka.append(json.dumps(pay(i)).encode())
    fresh = lambda: processor(cards_max=100, duplicates=WindowLimits(100))  # noqa: E731
    await worker(kafka, fresh, tmp_path, snapshot_interval_s=1e6).run()
    assert kafka.committed == 20
    letters = [json.loads(value) for topic, _, value in kafka.outputs if topic == DEAD_LETTERS.name]
    assert [(letter["reason"], letter["source_offset"]) for letter in letters] == [("unscorable", 7)]
    assert letters[0]["detail"] == "a stage raised FloatingPointError on this record"
    scores = [json.loads(value) for topic, _, value in kafka.outputs if topic == SCORES.name]
    assert len(scores) == 19
    sums = [json.loads(value) for topic, _, value in kafka.outputs if topic == SCORING_METRICS.name]
    assert sum(counted["dead_letters"] for counted in sums) == 1

    limits = Limits(message_bytes_max=65536, event_ahead_ms_max=86_400_000, duplicates=WindowLimits(100), cards_max=100)
    part = await asyncio.to_thread(OfflinePartition(model().session, limits).judge, kafka.log)
    assert [(fault.record.offset, fault.reason.value) for fault in part.faults] == [(7, "unscorable")]
    assert [float(np.float32(score["probability"])) for score in scores] == part.scores.probability.tolist()
