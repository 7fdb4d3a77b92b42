"""Records that do not lie where their card belongs are counted and named: by the scorer, `doctor` and `verify`."""

import asyncio
import json
import zlib
from collections.abc import Callable

import pytest
from aiokafka.partitioner import DefaultPartitioner
from typer.testing import CliRunner

from models.simulation.applications import drawn
from schemas.topics import APPLICATIONS
from services.cli.app import app
from services.cli.operating.keying import keys
from services.engine.placement import place
from services.errors import AssayError
from services.kafka.client import plain_producer
from services.settings.processing import RuntimeSettings
from services.simulator.applications import application_payloads
from tests.services.harness import BASE_TIME_MS, Stream, payment
from tests.services.scorer.test_standing_still import until

CARDS = [f"card-{number:03d}" for number in range(40)]
Partitioner = Callable[[bytes, int], int]


def crc32(key: bytes, partitions: int) -> int:
    """The default of librdkafka for keyed records (consistent_random)."""
    return zlib.crc32(key) % partitions


def murmur2(key: bytes, partitions: int) -> int:
    """Kafka's default."""
    numbers = list(range(partitions))
    return int(DefaultPartitioner()(key, numbers, numbers))


async def send(stream: Stream, partitioners: list[Partitioner], first: int = 0) -> list[tuple[str, int]]:
    """Ten payments of each card, by partitioners in turn: the cards and partitions of all."""
    producer = plain_producer(stream.kafka, RuntimeSettings(), linger_ms=5)
    await producer.start()
    sent, futures = [], []
    try:
        for at in range(first, first + 10):
            for card, name in enumerate(CARDS):
                key = name.encode()
                partition = partitioners[at % len(partitioners)](key, stream.partitions)
                value = json.dumps(payment(at * len(CARDS) + card, card=name)).encode()
                futures.append(await producer.send(f"{stream.prefix}transactions", value, key=key, partition=partition))
                sent.append((name, partition))
        await asyncio.gather(*futures)
    finally:
        await producer.stop()
    return sent


@pytest.fixture
async def keyed(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream at which the command line looks."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_GROUP", stream.group)
    return stream


async def verified(*arguments: str) -> tuple[int, str]:
    """Exit status and output of `assay verify`."""
    result = await asyncio.to_thread(CliRunner().invoke, app, ["verify", *arguments])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.slow
async def test_two_producers_of_different_partitioners_are_counted_and_named(keyed: Stream) -> None:
    """As it was: 32 of 40 cards split, no word of it, and verify said "exactly once"."""
    scorer = keyed.scorer()
    sent = await send(keyed, [crc32, murmur2])
    await keyed.caught_up([scorer])
    astray = sum(partition != murmur2(card.encode(), 4) for card, partition in sent)
    split = sum(len({partition for name, partition in sent if name == card}) > 1 for card in CARDS)
    assert astray > 100
    await until(lambda: scorer.metric("assay_misplaced_records_total") == astray, scorer)
    assert "partitioner=murmur2_random" in scorer.log()
    assert scorer.log().count('"records.misplaced"') == len({p for c, p in sent if p != murmur2(c.encode(), 4)})
    status, said = await verified()
    assert status == 1
    assert "Exactly once: nothing missing" in said
    assert f"{split:,} of 40 cards (applicants), {split / 40:.1%}, lie on more than one partition" in said
    status, said = await verified("--allow-split", "--json")
    assert status == 0
    assert (json.loads(said)["subjects"], json.loads(said)["split_subjects"]) == (40, split)
    with pytest.raises(AssayError, match=f"{astray:,} of the newest 400 records of {keyed.prefix}transactions lie"):
        await keys()


async def test_records_keyed_by_card_through_kafkas_default_partitioner_are_not_named(keyed: Stream) -> None:
    """What Java's client, ours and the simulator do."""
    scorer = keyed.scorer()
    cards = [CARDS[number % 40] for number in range(400)]
    values = [json.dumps(payment(number, card=card)).encode() for number, card in enumerate(cards)]
    await keyed.send(values, [card.encode() for card in cards])
    simulated = ["simulate", "--count", "2000", "--rate", "100000"]
    result = await asyncio.to_thread(CliRunner().invoke, app, simulated)
    assert result.exit_code == 0, result.output
    await keyed.caught_up([scorer])
    await until(lambda: scorer.metric("assay_records_total") == 2400, scorer)
    assert scorer.metric("assay_misplaced_records_total") == 0
    assert "records.misplaced" not in scorer.log()
    assert (await verified())[0] == 0
    assert "lie where their card or applicant belongs" in await keys()


@pytest.mark.slow
async def test_where_partitions_are_added_a_card_belongs_where_the_new_number_puts_it(
    keyed: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that still counts four is counted; one that counts six is not; cards that moved are split. Outputs of a
    new partition lie on the one of its number, which they gained while the scorer ran."""
    scorer = keyed.scorer(ASSAY_SESSION_TIMEOUT_S="6")
    before = await send(keyed, [murmur2])
    await keyed.caught_up([scorer])
    assert scorer.metric("assay_misplaced_records_total") == 0
    monkeypatch.setenv("ASSAY_PARTITIONS", "6")
    done = await asyncio.to_thread(CliRunner().invoke, app, ["topics", "create", "--add-partitions", "--yes"])
    assert done.exit_code == 0, (done.output, done.exception)
    await until(lambda: "topic.partitions_added" in scorer.log(), scorer)
    stale = await send(keyed, [murmur2], first=10)
    keyed.partitions = 6
    moved = await send(keyed, [murmur2], first=20)
    astray = sum(partition != murmur2(card.encode(), 6) for card, partition in stale)
    await until(lambda: scorer.metric("assay_records_total") == len(before + stale + moved), scorer)
    await until(lambda: scorer.metric("assay_misplaced_records_total") == astray, scorer)
    verdict = await keyed.verdict()
    assert (verdict.missing, verdict.duplicate, verdict.out_of_order) == (0, 0, 0), verdict
    assert verdict.split_subjects == sum(murmur2(card.encode(), 4) != murmur2(card.encode(), 6) for card in CARDS)


async def test_applications_on_the_wrong_partition_are_counted(keyed: Stream) -> None:
    """An applicant's repeated application is only seen on its own partition."""
    service = keyed.credit()
    payloads = [*application_payloads([drawn(60, seed=5, start_ms=BASE_TIME_MS)])]
    await keyed.send([p.value for p in payloads], [p.key for p in payloads], APPLICATIONS.name)
    await keyed.caught_up([service], f"{keyed.prefix}credit", APPLICATIONS.name)
    await until(lambda: service.metric("assay_records_total") == 60, service)
    assert service.metric("assay_misplaced_records_total") == 0
    more = [*application_payloads([drawn(120, seed=6, start_ms=BASE_TIME_MS)])]
    await keyed.send([p.value for p in more], name=APPLICATIONS.name)  # round robin
    await until(lambda: service.metric("assay_records_total") == 180, service)
    astray = sum(place(payload.key, 4) != at % 4 for at, payload in enumerate(more))
    await until(lambda: service.metric("assay_misplaced_records_total") == astray, service)
    with pytest.raises(AssayError, match=f"{keyed.prefix}applications lie on another partition"):
        await keys()
