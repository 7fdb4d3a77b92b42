"""What `scoring-metrics` counts is what is committed, whatever ends the process in between."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.scoring.scores import Scores
from schemas import codec
from schemas.metric import ScoringMetric
from schemas.topics import DEAD_LETTERS, SCORES, SCORING_METRICS
from services.engine import partial_sums as scorer_sums
from services.engine import worker as runtime_worker
from services.engine import written_sums
from services.engine.carried_sums import has_sums, metric_of
from services.engine.duplicates import WindowLimits
from services.engine.offset_notes import CARRIED_MAX, OffsetNote
from services.engine.partial_sums import PartialSums
from services.scorer.decide import decide
from services.scorer.processor import ScoringProcessor
from tests.services.engine.fakes import CrashError, FakeKafka, Fate, worker
from tests.services.engine.model import model, processor
from tests.services.harness import payment

RECORDS = 60
ADDED = ("records", "scored", "alerts", "dead_letters", "late", "let_through")
HISTOGRAMS = ("probability_histogram", "anomaly_percentile_histogram")


@pytest.fixture(autouse=True)
def never_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are written at a drain alone, however slow the machine is; no retry waits."""
    monkeypatch.setattr(runtime_worker, "BACKOFF_S_MAX", 0.0)
    monkeypatch.setattr(scorer_sums, "INTERVAL_S", 1e9)


def fresh() -> ScoringProcessor:
    """As a scorer has it."""
    return processor(cards_max=100, duplicates=WindowLimits(100))


def kafka_of_payments() -> FakeKafka:
    """Large and small ones, and every tenth no payment."""
    kafka = FakeKafka()
    for i in range(RECORDS):
        made = payment(i, card=f"card-{i % 3}", amount=900.0 if i % 7 == 0 else 25.0)
        kafka.append(b"{" if i % 10 == 9 else json.dumps(made).encode())
    return kafka


def counted(kafka: FakeKafka) -> dict[str, Any]:
    """What the sums add up to."""
    sums = [codec.read(ScoringMetric, value) for topic, _, value in kafka.outputs if topic == SCORING_METRICS.name]
    added: dict[str, Any] = {name: sum(getattr(one, name) for one in sums) for name in ADDED}
    for name in HISTOGRAMS:
        added[name] = np.sum([getattr(one, name) for one in sums], axis=0).tolist()
    added["features"] = np.sum([[sum(counts) for counts in one.feature_histograms] for one in sums], axis=0).tolist()
    added["amount"] = round(sum(one.amount_sum for one in sums), 6)
    return added


async def to_the_end(kafka: FakeKafka, folder: Path) -> None:
    """Processes one after the other, until one drains."""
    while True:
        with contextlib.suppress(CrashError):
            await worker(kafka, fresh, folder, batch_records_max=4, dead_letter_share_max=1.0).run()
            return


@pytest.mark.parametrize("fate", ["crash", "crash_after_commit", "fail", "commit_without_answer", "revoke"])
@pytest.mark.parametrize("every", [1, 2, 5])
async def test_a_process_that_ends_anywhere_leaves_no_record_uncounted_and_none_counted_twice(
    fate: Fate, every: int, tmp_path: Path
) -> None:
    """The sums are those of an undisturbed process, and the committed outputs' own numbers."""
    calm, kafka = kafka_of_payments(), kafka_of_payments()
    await to_the_end(calm, tmp_path / "calm")
    kafka.fates = [fate if n % (every + 1) == every else "commit" for n in range(20)]
    await to_the_end(kafka, tmp_path / "disturbed")
    assert counted(kafka) == counted(calm)
    topics = [topic for topic, _, _ in kafka.outputs]
    assert counted(kafka)["scored"] == topics.count(SCORES.name) == 54
    assert counted(kafka)["dead_letters"] == topics.count(DEAD_LETTERS.name) == 6


async def test_sums_too_large_for_a_note_are_written_in_the_transaction_that_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a bundle with hundreds of features."""
    monkeypatch.setattr(written_sums, "CARRIED_MAX", 100)
    kafka = kafka_of_payments()
    kafka.fates = ["commit", "crash_after_commit"] * 3
    await to_the_end(kafka, tmp_path)
    assert counted(kafka)["records"] == RECORDS
    assert not has_sums(OffsetNote.read(kafka.metadata).carried)


async def test_a_process_that_has_nothing_to_do_writes_what_was_carried(tmp_path: Path) -> None:
    """The last batch of a day may be the last for hours."""
    kafka = kafka_of_payments()
    kafka.fates = ["commit"] * 15 + ["crash_after_commit"]  # the first says where the group begins
    with contextlib.suppress(CrashError):
        await worker(kafka, fresh, tmp_path, batch_records_max=4, dead_letter_share_max=1.0).run()
    assert kafka.committed == RECORDS
    assert OffsetNote.read(kafka.metadata).carried
    await to_the_end(kafka, tmp_path)
    assert counted(kafka)["records"] == RECORDS
    assert not has_sums(OffsetNote.read(kafka.metadata).carried)


@pytest.mark.parametrize("challenger", [None, "fraud/2@cpu"])
@pytest.mark.parametrize("records", [1, 300, 60_000])
def test_a_note_holds_the_sums_as_they_would_be_written(challenger: str | None, records: int) -> None:
    """Those of the challenger, too, and counts of more than a byte."""
    reference = model().session.bundle.reference
    sums = PartialSums("transactions", 3, "fraud/1@cpu", reference.features, 0.0, challenger)
    zeros = np.zeros(records, np.float32)
    scores = Scores(zeros, zeros, zeros)
    outcomes = decide(scores, model().identity.thresholds)
    features = np.zeros((records, len(reference.features)), np.float32)
    amount = np.full(records, 1.5)
    sums.count_scores(features, scores, outcomes.alert, 7, let_through=outcomes.let_through, amount=amount)
    if challenger:
        sums.count_challenger(scores, zeros == 0, outcomes.alert)
    sums.count(10, 10 + records - 1, 1_700_000_000_000, records, 0)
    note = sums.carried()
    assert len(note) <= CARRIED_MAX
    found = metric_of(note, "transactions", 3)
    assert found is not None
    assert found[0] == 10 + records - 1
    assert codec.read(ScoringMetric, found[1]) == codec.read(ScoringMetric, sums.take(1.0))
    assert sums.carried() == ""


@pytest.mark.parametrize("note", ["", "YWI=", "no base64", "kgE=", "lgGQAMQAAcQA"])
async def test_a_note_that_nobody_can_read_stops_nothing(note: str, tmp_path: Path) -> None:
    """By a later version, or by hand."""
    assert metric_of(note, "transactions", 0) is None
    kafka = kafka_of_payments()
    kafka.committed, kafka.metadata = 0, f"log={kafka.log_id}; carried={note}"
    await asyncio.wait_for(to_the_end(kafka, tmp_path), 60)
    assert counted(kafka)["records"] == RECORDS
