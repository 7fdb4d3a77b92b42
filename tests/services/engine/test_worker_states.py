"""Fold, snapshots, restore and the worker's bookkeeping under every order of faults that Hypothesis thinks of.

The worker, the processor with its fold and its model, the snapshot store and the restore are the real ones; only Kafka is
a fake. Whatever happens, the outputs are those of one undisturbed pass over the log, bit for bit, each once and in order.
"""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.topics import DEAD_LETTERS, SCORES, SOURCE_OFFSET_HEADER
from services.engine import worker as runtime_worker
from services.engine.duplicates import WindowLimits
from services.scorer.processor import ScoringProcessor
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from tests.services.engine.fakes import CrashError, FakeKafka, Fate, worker
from tests.services.engine.model import processor
from tests.services.harness import BASE_TIME_MS

CARDS_MAX, WINDOW = 4, WindowLimits(8)

FATES: list[Fate] = ["commit", "fail", "commit_without_answer", "crash", "crash_after_commit", "revoke"]


def fresh() -> ScoringProcessor:
    """Few cards and a short memory for ids, so that both are forgotten within a test."""
    return processor(cards_max=CARDS_MAX, duplicates=WINDOW)


Answers = dict[str, list[tuple[int, bytes]]]


def answers(outputs: list[tuple[str, Any, bytes]]) -> Answers:
    """Source offset and bytes of each score and of each dead letter, in the order of their topic."""
    made: Answers = {SCORES.name: [], DEAD_LETTERS.name: []}
    for topic, headers, value in outputs:
        if topic in made:
            made[topic].append((int(headers[SOURCE_OFFSET_HEADER]), value))
    return made


payments = st.builds(
    lambda number, card, minutes: json.dumps(
        {
            "transaction_id": f"t{number}",
            "event_time_ms": BASE_TIME_MS + minutes * 60_000,
            "card_id": f"card-{card}",
            "terminal_id": "terminal",
            "amount": 10.0 + number,
        }
    ).encode(),
    st.integers(0, 60),
    st.integers(0, 6),
    st.integers(0, 50_000),
)
inputs = st.lists(payments | st.sampled_from([None, b"", b"garbage", b'{"amount":1}']), min_size=1, max_size=12)


class Worker(RuleBasedStateMachine):
    """One partition's life."""

    @initialize()
    def begin(self) -> None:
        """An empty log, no snapshot."""
        self.kafka = FakeKafka()
        self.directory = Path(tempfile.mkdtemp(prefix="assay-states-"))
        self.undisturbed, self.undisturbed_at = fresh(), 0
        self.expected: list[tuple[str, Any, bytes]] = []

    @rule(values=inputs)
    def arrive(self, values: list[bytes | None]) -> None:
        """Records are written to the input."""
        for value in values:
            self.kafka.append(value)

    @rule(
        records_max=st.integers(1, 7),
        fates=st.lists(st.sampled_from(FATES), max_size=5),
        snapshots=st.booleans(),
    )
    def work(self, records_max: int, fates: list[Fate], snapshots: bool) -> None:
        """A process works until it has caught up, or crashes; its memory is gone either way."""
        self.kafka.fates = list(fates)
        interval_s = 1e-6 if snapshots else 1e6
        partition = worker(
            self.kafka, fresh, self.directory, batch_records_max=records_max, snapshot_interval_s=interval_s
        )
        crashed = False
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runtime_worker, "BACKOFF_S_MAX", 0.0)
            try:
                asyncio.run(partition.run())
            except CrashError:
                crashed = True
        self.kafka.fates = []
        if not crashed:
            assert (self.kafka.committed or 0) == len(self.kafka.log)

    @rule(cut=st.integers(0, 400), data=st.data())
    def damage(self, cut: int, data: st.DataObject) -> None:
        """A snapshot is cut short, or one of its bits turns."""
        found = sorted(self.directory.glob("*.snapshot"))
        if found:
            snapshot = data.draw(st.sampled_from(found))
            content = bytearray(snapshot.read_bytes())
            if not content:
                return
            if cut % 2:
                content = content[: cut % len(content)]
            else:
                content[cut % len(content)] ^= 1
            snapshot.write_bytes(content)

    @rule()
    def lose_snapshots(self) -> None:
        """The directory is gone."""
        shutil.rmtree(self.directory)
        self.directory.mkdir()

    @invariant()
    def outputs_are_those_of_one_undisturbed_pass(self) -> None:
        """Up to the committed offset, and nothing beyond it."""
        if not hasattr(self, "kafka"):
            return
        for record in self.kafka.log[self.undisturbed_at : self.kafka.committed or 0]:
            self.undisturbed_at = record.offset + 1
            for write in asyncio.run(self.undisturbed.process([record])).writes:
                self.expected += zip(
                    [write.topic] * len(write.values), map(dict, write.headers), write.values, strict=True
                )
        assert answers(self.kafka.outputs) == answers(self.expected)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory, ignore_errors=True)


TestWorkerStates = Worker.TestCase
TestWorkerStates.settings = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.mark.parametrize("fate", ["fail", "commit_without_answer", "revoke"])
def test_what_a_transaction_without_a_good_end_folded_is_forgotten(fate: Fate) -> None:
    """The one path that no search may miss: with the state kept, the payments would come again as duplicates."""
    life = Worker()
    life.begin()
    payment = {"event_time_ms": BASE_TIME_MS, "card_id": "card", "terminal_id": "terminal", "amount": 10.0}
    life.arrive([json.dumps({"transaction_id": f"t{number}", **payment}).encode() for number in range(5)])
    life.work(records_max=2, fates=["commit", fate], snapshots=False)
    life.outputs_are_those_of_one_undisturbed_pass()
    life.teardown()
    assert [name for name, _, _ in life.kafka.outputs].count(SCORES.name) == 5


def test_the_settings_of_the_states_are_small_enough_to_forget() -> None:
    """Otherwise eviction and the end of the duplicate window would never be met."""
    assert WindowLimits.of(RuntimeSettings()).records_min > WINDOW.records_min
    assert ScorerSettings().cards_max > CARDS_MAX
