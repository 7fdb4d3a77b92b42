"""Intake on a real Kafka: a topic with foreign keys becomes events by subject, exactly once, and the scorer reads them."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from models.sources.spec_file import parse_source, users_topic
from schemas import codec
from schemas.dead_letter import DeadLetter
from schemas.source_spec import SourceSpec
from schemas.topics import EVENTS, ORIGIN_HEADER, SOURCE_TIMESTAMP_HEADER
from services.engine.placement import place
from services.formats import open_reader
from services.kafka.topics_admin import create_topics
from services.settings.schema_registry import SchemaRegistrySettings
from services.verification.pipeline import PAYMENTS, routing
from services.verification.verify import verify
from tests.services.cli.test_app import run_main
from tests.services.harness import WAIT_S_MAX, Scorer, Stream
from tests.services.scorer.test_source import SOURCE, bundle_of, event

NAME = "payments.authorised.v2"
ROUTED = SOURCE.strip() + "\nrouted: true\n"
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def source_of(stream: Stream) -> SourceSpec:
    """The user's topic is named whole, so the test's prefix is in its spec."""
    return parse_source(ROUTED.replace(NAME, stream.prefix + NAME))


def record_of(i: int) -> bytes:
    """The i-th record; one in a hundred is no JSON."""
    return b"{broken" if i % 100 == 41 else json.dumps(event(i)).encode()


def position(record: Any) -> tuple[int, int]:
    """Of the user's record that an event was made of."""
    headers = dict(record.headers)
    return int(headers["assay-source-partition"]), int(headers["assay-source-offset"])


async def worked(stream: Stream, scorer: Scorer) -> int:
    """Wait until the scorer has committed every event; how many. The events' log ends in a marker, which is no record."""
    deadline, events = time.monotonic() + WAIT_S_MAX, len(await stream.read(EVENTS.name))
    while scorer.metric("assay_records_total") < events:
        assert scorer.returncode is None, scorer.log()[-2000:]
        assert time.monotonic() < deadline, scorer.log()[-2000:]
        await asyncio.sleep(0.1)
    return events


@pytest.fixture
async def routed(stream: Stream, tmp_path: Path) -> dict[str, str]:
    """The user's topic made, and the environment of intake and scorer for it."""
    source = source_of(stream)
    await create_topics(stream.kafka, stream.topics, [users_topic(source)])
    bundle = bundle_of(source, tmp_path / "bundle")
    return {"ASSAY_BUNDLE": str(bundle), "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true", "ASSAY_BUNDLE_PUBLIC_KEYS": ""}


@pytest.mark.slow
async def test_a_topic_of_foreign_keys_is_routed_exactly_once_through_kills_and_a_rebalance_and_scored(
    stream: Stream, routed: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keyed by merchant; one intake dies between sends, one in its commit, two share the rest; poison is one letter each."""
    source, number = source_of(stream), 1600
    values = [record_of(i) for i in range(number)]
    keys = [b"m-%d" % (i % 7) for i in range(number)]
    small = {"ASSAY_BATCH_RECORDS_MAX": "40"}
    await stream.send(values[: number // 2], keys[: number // 2], NAME)
    for failpoint in ("between_sends:9", "commit_sent:4"):
        doomed = stream.intake(**routed, **small, ASSAY_FAILPOINT=failpoint)
        assert doomed.wait() != 0
    intakes = [stream.intake(**routed, **small), stream.intake(**routed, **small)]
    await stream.send(values[number // 2 :], keys[number // 2 :], NAME)
    scorer = stream.scorer(**routed)
    await stream.caught_up([*intakes, scorer], group=f"{stream.prefix}intake", name=NAME)
    intakes[0].kill()
    await stream.send([record_of(i) for i in range(number, number + 400)], [b"m"] * 400, NAME)
    await stream.caught_up([intakes[1], scorer], group=f"{stream.prefix}intake", name=NAME)

    users, events = await stream.read(NAME), await stream.read(EVENTS.name)
    meant = {(r.partition, r.offset) for r in users if b"BALANCE" not in r.value}
    letters = [codec.read(DeadLetter, r.value) for r in await stream.read("dead-letters")]
    refused = [(d.source_partition, d.source_offset) for d in letters if d.source_topic.endswith(source.topic)]
    assert Counter(map(position, events)) + Counter(refused) == Counter(meant)
    assert {d.reason.value for d in letters} == {"undecodable", "schema"}

    for record in events:
        assert record.partition == place(record.key, stream.partitions)
        assert record.key.decode() == json.loads(record.value)["subject"]
    by_subject: dict[Any, list[int]] = {}
    for record in events:
        by_subject.setdefault((record.key, position(record)[0]), []).append(position(record)[1])
    assert all(offsets == sorted(offsets) for offsets in by_subject.values())

    assert await worked(stream, scorer)
    assert scorer.metric("assay_misplaced_records_total") == 0
    assert intakes[1].metric("assay_events_total") > 0
    assert scorer.terminate() == intakes[1].terminate() == 0
    reader = open_reader(source, SchemaRegistrySettings(url=None), 1 << 16)
    hop = await verify(stream.kafka, stream.topics, f"{stream.prefix}intake", routing(source, reader))
    assert hop.clean, hop
    assert (hop.inputs, hop.scores, hop.dead_letters, hop.split_subjects) == (len(meant), len(events), len(refused), 0)
    verdict = await verify(stream.kafka, stream.topics, stream.group, PAYMENTS.reading(source))
    assert verdict.clean, verdict
    assert (verdict.inputs, verdict.scores, verdict.split_subjects) == (len(events), len(events), 0)
    stamps = {position(r): dict(r.headers)[SOURCE_TIMESTAMP_HEADER] for r in events}
    for score in await stream.read("scores"):
        headers = dict(score.headers)
        topic, _, at = headers[ORIGIN_HEADER].decode().rpartition("-")
        partition, offset = map(int, at.split("@"))
        assert topic == source.topic
        assert headers[SOURCE_TIMESTAMP_HEADER] == stamps.pop((partition, offset))
    assert not stamps

    environment = {**routed, "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap, "ASSAY_TOPIC_PREFIX": stream.prefix}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(run_main, monkeypatch, "replay", "--json", "--group", stream.group) == 0
    assert json.loads(capsys.readouterr().out)["compared"] == len(events)


async def test_a_repeated_event_is_the_scorers_to_find_wherever_it_came_in(
    stream: Stream, routed: dict[str, str]
) -> None:
    """Two copies on two partitions of the user's topic meet on their subject's; the dead letter names the user's record."""
    source, value = source_of(stream), json.dumps(event(1)).encode()
    intake, scorer = stream.intake(**routed), stream.scorer(**routed)
    intake.wait_ready()
    await stream.send([value, value], None, NAME)
    await stream.caught_up([intake], group=f"{stream.prefix}intake", name=NAME)
    assert await worked(stream, scorer)
    assert {r.partition for r in await stream.read(NAME)} == {0, 1}
    assert len(await stream.read("scores")) == 1
    (letter,) = await stream.read("dead-letters")
    assert codec.read(DeadLetter, letter.value).reason.value == "duplicate"
    assert dict(letter.headers)[ORIGIN_HEADER].decode().startswith(source.topic)
    assert intake.get("/readyz")[0] == 200


@pytest.mark.slow
async def test_a_start_reads_nothing_again(stream: Stream, routed: dict[str, str]) -> None:
    """Without a state there is nothing to fold: the log of the second start restores no partition."""
    await stream.send([json.dumps(event(i)).encode() for i in range(1, 200)], None, NAME)
    for _ in range(2):
        intake = stream.intake(**routed)
        await stream.caught_up([intake], group=f"{stream.prefix}intake", name=NAME)
        intake.wait_ready()
        assert intake.terminate() == 0
        assert "partition.restored" not in intake.log()
    assert len(await stream.read(EVENTS.name)) == sum(
        event(i)["type"] != "BALANCE" and event(i)["header"]["at"] != "never" for i in range(1, 200)
    )


async def test_intake_of_a_source_that_is_read_directly_is_refused_in_a_sentence(
    stream: Stream, tmp_path: Path
) -> None:
    """It would fill a topic that no scorer reads."""
    path = tmp_path / "source.yaml"
    path.write_text(SOURCE)
    intake = stream.intake(ASSAY_INTAKE_SOURCE=str(path))
    assert intake.wait() == 2
    assert "write `routed: true` into its source spec" in intake.log()
    assert "Traceback" not in intake.log()
