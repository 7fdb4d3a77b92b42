"""A record on which a stage raises: cut out of its batch, one dead letter, its neighbours untouched."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from services.engine import worker as runtime_worker
from services.engine.batches import Result, Write
from services.engine.held import Decision
from services.engine.suspects import IN_A_ROW_MAX, PARTS, Suspects, UnsendableError
from services.engine.worker import PartitionWorker
from services.errors import AssayError
from tests.services.engine.fakes import FakeConsumer, FakeDelivery, FakeKafka, Silent, worker


class Summing(Silent):
    """Answers each record with the sum of the numbers so far. bad: values on which `process` raises; torn: the fold, too."""

    def __init__(self, bad: Callable[[bytes], Exception | None], torn: frozenset[bytes] = frozenset()) -> None:
        super().__init__()
        self.bad, self.torn, self.sum = bad, torn, 0

    def _fold(self, value: bytes) -> None:
        self.sum += int(value)
        if value in self.torn:
            raise ArithmeticError("in the middle of the fold")

    def absorb(self, records: Sequence[Any]) -> None:
        """The same, silently."""
        for record in records:
            self._fold(record.value)

    async def process(self, records: Sequence[Any]) -> Result:
        """One output for each record."""
        write = Write("out")
        for record in records:
            self._fold(record.value)
            error = self.bad(record.value)
            if error is not None:
                raise error
            write.append(None, b"%d" % self.sum, [("offset", b"%d" % record.offset)])
        return Result([write], len(records), 0)

    def refuse(self, fault: Any, *, folded: bool) -> Result:
        """Folded as a restore does."""
        if folded:
            self.absorb([fault.record])
        return super().refuse(fault, folded=folded)


def life(kafka: FakeKafka, make: Callable[[], Summing], where: Path, **settings: Any) -> None:
    """A process works until nothing is left to do."""
    partition = worker(kafka, make, where, snapshot_interval_s=1e6, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime_worker, "BACKOFF_S_MAX", 0.0)
        asyncio.run(asyncio.wait_for(partition.run(), 30))


def outputs(kafka: FakeKafka) -> list[tuple[str, int, bytes]]:
    """Topic, source offset, value."""
    return [(topic, int(headers["offset"]), value) for topic, headers, value in kafka.outputs]


def of_values(*bad: bytes, error: type[Exception] = FloatingPointError) -> Callable[[bytes], Exception | None]:
    """Raises on these values."""
    return lambda value: error("a score is no number") if value in bad else None


@pytest.mark.parametrize("records", [1, 2, 40, 700])
@pytest.mark.parametrize("torn", [False, True])
def test_a_record_on_which_a_stage_raises_is_one_dead_letter_and_its_neighbours_are_scored(
    records: int, torn: bool, tmp_path: Path
) -> None:
    """Wherever it lies in its batch; and a state that was torn in the middle of the fold is never used."""
    for place in {0, records // 2, records - 1}:
        kafka = FakeKafka(committed=0)
        for number in range(records):
            kafka.append(b"1000000" if number == place else b"%d" % (number + 1))
        made = frozenset([b"1000000"]) if torn else frozenset[bytes]()
        life(kafka, lambda made=made: Summing(of_values(b"1000000"), made), tmp_path / str(place))  # type: ignore[misc]
        assert kafka.committed == records
        expected, total = [], 0
        for number in range(records):
            total += (0 if torn else 1_000_000) if number == place else number + 1
            name = b"ArithmeticError" if torn else b"FloatingPointError"
            letter = b"a stage raised %s on this record" % name
            expected.append(("dead", number, letter) if number == place else ("out", number, b"%d" % total))
        assert outputs(kafka) == expected


def test_the_next_owner_finds_the_same_state_without_knowing_of_the_record(tmp_path: Path) -> None:
    """Without a snapshot it folds the log again, the bad record too."""
    kafka = FakeKafka(committed=0)
    for value in (b"1", b"50", b"2"):
        kafka.append(value)
    life(kafka, lambda: Summing(of_values(b"50"), frozenset([b"50"])), tmp_path)
    kafka.append(b"3")
    life(kafka, lambda: Summing(of_values(b"50"), frozenset([b"50"])), tmp_path / "empty")
    assert outputs(kafka)[-1] == ("out", 3, b"6")


@pytest.mark.parametrize("error", [KafkaError, OSError, MemoryError, TimeoutError])
def test_what_kafka_the_disk_or_the_memory_does_wrong_is_never_blamed_on_a_record(
    error: type[Exception], tmp_path: Path
) -> None:
    """The partition starts again, and the process ends if that does not help: nothing becomes a dead letter."""
    kafka = FakeKafka(committed=0)
    kafka.append(b"1")
    with pytest.raises(AssayError, match=f"last with {error.__name__}"):
        life(kafka, lambda: Summing(of_values(b"1", error=error)), tmp_path, restarts_max=3)
    assert kafka.outputs == []
    assert kafka.committed == 0


def test_an_error_that_does_not_come_again_is_not_blamed_on_the_record(tmp_path: Path) -> None:
    """Once is an accident: every record is scored."""
    kafka, errors = FakeKafka(committed=0), [FloatingPointError("once"), None]
    kafka.append(b"1")
    life(kafka, lambda: Summing(lambda _: errors.pop(0) if errors else None), tmp_path)
    assert outputs(kafka) == [("out", 0, b"1")]


def test_an_output_that_fits_into_no_batch_is_a_dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was, a ValueError ended each member in turn."""
    deliver = FakeDelivery.deliver

    async def bounded(self: FakeDelivery, writes: Sequence[Write], *arguments: Any) -> None:
        if any(value == b"77" for write in writes for value in write.values):
            raise UnsendableError("out") from ValueError("larger than a batch")
        await deliver(self, writes, *arguments)

    monkeypatch.setattr(FakeDelivery, "deliver", bounded)
    kafka = FakeKafka(committed=0)
    for value in (b"70", b"7", b"1"):
        kafka.append(value)
    life(kafka, lambda: Summing(lambda _: None), tmp_path)
    letter = b"a stage raised ValueError on this record"
    assert outputs(kafka) == [("out", 0, b"70"), ("dead", 1, letter), ("out", 2, b"78")]


async def test_a_stage_that_raises_on_everything_holds_the_partition_after_a_few(tmp_path: Path) -> None:
    """A broken bundle must not drain the topic into dead letters; once it works again, so does the partition."""
    kafka, broken = FakeKafka(committed=0), [True]
    for number in range(50):
        kafka.append(b"%d" % number)
    consumer = FakeConsumer(kafka)
    made = lambda: Summing(lambda _: FloatingPointError("no number") if broken[0] else None)  # noqa: E731
    partition = worker(kafka, made, tmp_path, consumer, snapshot_interval_s=1e6)
    running = asyncio.create_task(partition.run())
    await until(lambda: partition.held is not None)
    assert kafka.committed == IN_A_ROW_MAX == len(kafka.outputs)
    assert partition.held is not None
    assert "so it is not the records" in partition.held.cause
    await until(lambda: "transactions-0 is held at offset 5" in kafka.metadata)
    broken[0] = False
    assert not partition.decide(Decision(first_offset=4, let_through_below=None))
    assert partition.decide(Decision(first_offset=5, let_through_below=None))
    await until(lambda: kafka.committed == 50)
    assert [topic for topic, *_ in outputs(kafka)] == ["dead"] * IN_A_ROW_MAX + ["out"] * 45
    partition.drain()
    await running


async def until(true: Callable[[], bool]) -> None:
    """Let others run until it is."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  (what is waited for sets no event)
            await asyncio.sleep(0)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=80), st.data())
def test_a_batch_is_cut_into_parts_that_keep_every_record_in_order(gaps: list[int], data: st.DataObject) -> None:
    """Whatever was suspected before, and however the batches lie now."""
    offsets = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    batch = [SimpleNamespace(offset=offset) for offset in offsets]
    suspects = Suspects()
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(batch) - 1))
        failed = batch[start : data.draw(st.integers(start + 1, len(batch)))]
        suspects.blame(failed, ValueError())
        records_max = -(-len(failed) // PARTS)
        parts = list(suspects.cut(batch))
        assert [record for part in parts for record in part] == batch
        assert all(parts)
        assert all(len(part) <= records_max for part in parts if part[0].offset <= failed[-1].offset)
        alone = [part for part in parts for record in part if suspects.why(record)]
        assert all(len(part) == 1 for part in alone)


def test_an_unscorable_record_stays_alone_when_an_earlier_one_fails_after_it() -> None:
    """What is suspected now ends before it."""
    batch = [SimpleNamespace(offset=offset) for offset in range(10)]
    suspects = Suspects()
    for failed in (batch[9:], batch[9:], batch[:1]):
        suspects.blame(failed, ValueError())
    assert suspects.why(batch[9]) == "ValueError"
    assert suspects.cut(batch) == [batch[:1], batch[1:9], batch[9:]]


def test_a_worker_names_where_a_stage_raised_and_never_what_it_said(tmp_path: Path) -> None:
    """The text of an exception may quote a payload."""
    from structlog.testing import capture_logs

    kafka = FakeKafka(committed=0)
    kafka.append(b"1")
    with capture_logs() as logs:
        life(kafka, lambda: Summing(of_values(b"1")), tmp_path)
    lines = [line for line in logs if line["event"] == "partition.suspect"]
    assert {line["error"] for line in lines} == {"FloatingPointError"}
    assert all(line["where"].startswith("test_suspects.py:") for line in lines)
    assert "no number" not in str(logs)
    assert isinstance(worker(kafka, lambda: Summing(of_values()), tmp_path), PartitionWorker)


def test_a_record_of_which_no_dead_letter_can_be_made_ends_the_process_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not be tried for ever."""

    def broken(*_: Any, **__: Any) -> Result:
        raise TypeError("no letter")

    monkeypatch.setattr(Summing, "refuse", broken)
    kafka = FakeKafka(committed=0)
    kafka.append(b"1")
    with pytest.raises(AssayError, match=r"No dead letter can be made of transactions-0@0 \(TypeError\)"):
        life(kafka, lambda: Summing(of_values(b"1")), tmp_path)
    assert kafka.committed == 0
