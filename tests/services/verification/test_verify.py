"""The oracle against a real Kafka, with outputs made by hand."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from models.sources.spec_file import default_source
from schemas import topics as declared
from schemas.topics import source_headers
from services.engine.placement import place
from services.formats import open_reader
from services.kafka.client import plain_producer, transactional_producer
from services.kafka.topics_admin import create_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings
from services.settings.schema_registry import SchemaRegistrySettings
from services.verification.pipeline import routing
from services.verification.read import VerificationError
from services.verification.verdict import Verdict
from services.verification.verify import verify
from services.verification.witness import Witness

RECORDS = 20
ALERTED = 7
DEAD = 4

Outputs = dict[str, list[tuple[int, bytes]]]

DECISION = b"""{"recorded_because":"alert","model":"m","probability_threshold":0.5,"anomaly_percentile_threshold":99}"""


def score(*, alert: bool, probability: float | None = None) -> bytes:
    """A score, cut down to what the oracle reads, and a field more."""
    probability = probability if probability is not None else 0.9 if alert else 0.1
    fields = {"alert": alert, "probability": probability, "anomaly_percentile": 50.0, "model": "m", "new_field": 1}
    return json.dumps(fields).encode()


def outputs(sources: Sequence[int]) -> Outputs:
    """What a right scorer writes for these offsets, cut down to what the oracle reads."""
    made: Outputs = {name: [] for name in ("scores", "dead-letters", "alerts", "decisions")}
    for source in sources:
        if source == DEAD:
            made["dead-letters"].append((source, b"{}"))
            continue
        made["scores"].append((source, score(alert=source == ALERTED)))
        if source == ALERTED:
            made["alerts"].append((source, b"{}"))
            made["decisions"].append((source, DECISION))
    return made


@dataclass
class HandScorer:
    """Writes outputs to partition 0 of a topic set of its own."""

    kafka: KafkaSettings
    topics: TopicSettings
    runtime: RuntimeSettings

    @property
    def input(self) -> str:
        """Name of the input topic."""
        return self.topics.topic_prefix + "transactions"

    async def create(self, records: int = RECORDS) -> None:
        """Topics, and records on the input."""
        await create_topics(self.kafka, self.topics, declared.TOPICS)
        producer = plain_producer(self.kafka, self.runtime)
        await producer.start()
        for number in range(records):
            await producer.send(self.input, b"%d" % number, partition=0)
        await producer.stop()

    async def start(self) -> AIOKafkaProducer:
        """A transactional producer, always of the same id."""
        producer = transactional_producer(self.kafka, self.runtime, f"{self.topics.topic_prefix}tx")
        await producer.start()
        return producer

    async def write(self, producer: AIOKafkaProducer, made: Outputs) -> None:
        """Outputs with their source headers."""
        for name, records in made.items():
            for source, value in records:
                headers = source_headers(self.input, 0, source, 0)
                await producer.send_and_wait(self.topics.topic_prefix + name, value, partition=0, headers=headers)

    async def commit(self, producer: AIOKafkaProducer, made: Outputs, next_offset: int) -> None:
        """Outputs and offset in one transaction."""
        async with producer.transaction():
            await self.write(producer, made)
            await producer.send_offsets_to_transaction({TopicPartition(self.input, 0): next_offset}, self.runtime.group)

    async def verdict(self, **options: Any) -> Verdict:
        """What the oracle says."""
        return await verify(self.kafka, self.topics, self.runtime.group, **options)


@pytest.fixture
async def scorer(kafka_bootstrap: str, topic_prefix: str) -> HandScorer:
    made = HandScorer(
        KafkaSettings(bootstrap=kafka_bootstrap),
        TopicSettings(topic_prefix=topic_prefix, partitions=2),
        RuntimeSettings(group=f"{topic_prefix}group"),
    )
    await made.create()
    return made


async def test_transactions_and_an_aborted_one_are_clean(scorer: HandScorer) -> None:
    """The aborted outputs are invisible, their inputs scored again; the second partition is empty."""
    producer = await scorer.start()
    await scorer.commit(producer, outputs(range(5)), 5)
    await producer.begin_transaction()
    await scorer.write(producer, outputs(range(5, 9)))
    await producer.abort_transaction()
    await scorer.commit(producer, outputs(range(5, RECORDS)), RECORDS)
    await producer.stop()
    seen: list[tuple[int, int]] = []
    verdict = await scorer.verdict(progress=lambda done, whole: seen.append((done, whole)))
    assert verdict.clean, verdict
    assert (verdict.inputs, verdict.scores, verdict.dead_letters, verdict.alerts) == (RECORDS, RECORDS - 1, 1, 1)
    assert seen[-1][0] == seen[-1][1] > RECORDS


async def test_damage_of_every_kind_is_found_at_its_place(scorer: HandScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, duplicate, out of order and inconsistent outputs, an offset not committed, and an output that is not JSON."""
    monkeypatch.setattr("services.verification.verify.COMMIT_WAIT_S_MAX", 0.5)
    producer = await scorer.start()
    made = outputs(range(RECORDS - 1))
    del made["scores"][2]
    made["scores"].append((11, score(alert=False)))
    made["scores"][14:16] = reversed(made["scores"][14:16])
    made["alerts"].clear()
    await scorer.commit(producer, made, RECORDS - 1)
    await scorer.commit(producer, {"scores": [(RECORDS - 1, b"not JSON")]}, RECORDS - 1)
    await producer.stop()
    verdict = await scorer.verdict()
    name = f"{scorer.input}-0"
    assert (verdict.missing, verdict.duplicate, verdict.out_of_order) == (1, 1, 1)
    assert verdict.examples["missing"] == [f"{name}@2: no score and no dead letter"]
    assert verdict.examples["duplicate"] == [f"{name}@11: score"]
    assert verdict.examples["out_of_order"] == [f"{name}@16: score"]
    assert any(f"{name}@{ALERTED}: the score says alert" in at for at in verdict.examples["inconsistent"])
    assert any(
        f"{name}@{RECORDS - 1}: output, but its offset was not committed" in at
        for at in verdict.examples["inconsistent"]
    )
    assert any("not well-formed JSON" in at for at in verdict.examples["inconsistent"])


async def test_an_output_without_source_headers_is_inconsistent(scorer: HandScorer) -> None:
    """No one can tell what it answers."""
    producer = await scorer.start()
    await scorer.commit(producer, outputs(range(RECORDS)), RECORDS)
    async with producer.transaction():
        await producer.send_and_wait(f"{scorer.topics.topic_prefix}alerts", b"{}", partition=0)
    await producer.stop()
    verdict = await scorer.verdict()
    assert (verdict.inconsistent, verdict.missing, verdict.duplicate) == (1, 0, 0)


async def test_an_open_transaction_hangs_until_it_is_settled(scorer: HandScorer) -> None:
    """A producer that neither commits nor aborts is reported; a restart of the same id settles it."""
    producer = await scorer.start()
    await scorer.commit(producer, outputs(range(5)), 5)
    await producer.begin_transaction()
    await scorer.write(producer, outputs(range(5, 6)))
    verdict = await scorer.verdict(settle_s_max=0.2)
    assert (verdict.hanging, verdict.missing) == (1, 0)
    successor = await scorer.start()
    assert (await scorer.verdict()).clean
    await successor.stop()
    await producer.stop()


async def test_a_running_scorer_raises_no_false_alarm(scorer: HandScorer) -> None:
    """Verified again and again between and during commits."""
    producer = await scorer.start()
    await scorer.commit(producer, outputs([0]), 1)

    async def score() -> None:
        for source in range(1, RECORDS):
            await scorer.commit(producer, outputs([source]), source + 1)

    scoring = asyncio.create_task(score())
    while not scoring.done():
        verdict = await scorer.verdict()
        assert verdict.clean, verdict
    await scoring
    await producer.stop()
    assert (await scorer.verdict()).inputs == RECORDS


async def test_a_group_that_committed_nothing_is_a_sentence(scorer: HandScorer) -> None:
    """Most likely the group's name is wrong."""
    with pytest.raises(VerificationError, match="has committed nothing"):
        await scorer.verdict()


async def test_a_missing_topic_is_a_sentence(kafka_bootstrap: str, topic_prefix: str) -> None:
    """It names the topic and the command that makes it."""
    with pytest.raises(
        VerificationError, match=r"scores does not exist: `assay topics create`|transactions does not exist"
    ):
        await verify(KafkaSettings(bootstrap=kafka_bootstrap), TopicSettings(topic_prefix=topic_prefix), "nobody")


async def test_an_alert_that_the_thresholds_do_not_give_is_misjudged(scorer: HandScorer) -> None:
    """Recomputed from the score and from the thresholds on the decisions, in both directions."""
    producer = await scorer.start()
    made = outputs(range(RECORDS))
    scores = dict(made["scores"])
    scores[9] = score(alert=False, probability=0.5)
    scores[ALERTED] = score(alert=True, probability=0.4)
    made["scores"] = list(scores.items())
    await scorer.commit(producer, made, RECORDS)
    await producer.stop()
    verdict = await scorer.verdict()
    assert (verdict.misjudged, verdict.inconsistent, verdict.clean) == (2, 0, False)
    assert [example.partition(":")[0] for example in verdict.examples["misjudged"]] == [
        f"{scorer.input}-0@{ALERTED}",
        f"{scorer.input}-0@9",
    ]


async def test_a_reader_that_followed_sees_what_the_one_at_the_end_sees(scorer: HandScorer) -> None:
    """Aborted records included: neither of the two ever sees them. One other byte, and they disagree."""
    scores = TopicPartition(f"{scorer.topics.topic_prefix}scores", 0)
    producer, stop = await scorer.start(), asyncio.Event()
    witness = Witness(scorer.kafka, [scores])
    following = asyncio.create_task(witness.follow(stop))
    await scorer.commit(producer, outputs(range(5)), 5)
    await producer.begin_transaction()
    await scorer.write(producer, outputs(range(5, 9)))
    await producer.abort_transaction()
    await scorer.commit(producer, outputs(range(5, RECORDS)), RECORDS)
    await producer.stop()
    async with asyncio.timeout(60):
        while not witness.trails or witness.trails[scores].records < RECORDS - 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stop.set()
    await following
    verdict = await scorer.verdict(seen=witness.trails)
    assert verdict.clean, verdict
    witness.trails[scores].crc ^= 1
    assert (await scorer.verdict(seen=witness.trails)).disagreeing == 1


async def test_what_intake_loses_repeats_exchanges_and_misplaces_is_found_at_its_place(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    """The first hop, by hand: of six records one is missing, one is there twice, two are exchanged, one lies elsewhere."""
    kafka, topics = KafkaSettings(bootstrap=kafka_bootstrap), TopicSettings(topic_prefix=topic_prefix, partitions=2)
    spec = default_source().model_copy(update={"topic": f"{topic_prefix}own", "routed": True})
    reader = open_reader(spec, SchemaRegistrySettings(url=None), 1 << 16)
    pipeline, group = routing(spec, reader), f"{topic_prefix}intake"
    await create_topics(kafka, topics, [pipeline.source, *pipeline.outputs])
    name = pipeline.source.name
    producer = plain_producer(kafka, RuntimeSettings())
    await producer.start()
    for number in range(6):
        await producer.send(name, b"%d" % number, partition=0)
    await producer.stop()
    keys = {partition: next(b"%d" % n for n in range(99) if place(b"%d" % n, 2) == partition) for partition in (0, 1)}
    writer = transactional_producer(kafka, RuntimeSettings(), f"{topic_prefix}tx")
    await writer.start()
    async with writer.transaction():
        for offset, partition, key in ((0, 0, 0), (2, 0, 0), (1, 0, 0), (3, 1, 1), (3, 1, 1), (4, 1, 0)):
            headers = source_headers(name, 0, offset, 1)
            await writer.send(f"{topic_prefix}events", b"{}", key=keys[key], partition=partition, headers=headers)
        await writer.send_offsets_to_transaction({TopicPartition(name, 0): 6}, group)
    await writer.stop()
    verdict = await verify(kafka, topics, group, pipeline)
    found = (verdict.missing, verdict.duplicate, verdict.out_of_order, verdict.inconsistent, verdict.split_subjects)
    assert found == (1, 1, 1, 1, 1)
    assert verdict.examples["missing"] == [f"{name}-0@5: no score and no dead letter"]
