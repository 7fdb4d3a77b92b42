"""From `assay init` to alerts in six commands, on streams of other shapes: the folder's README, typed as it stands.

What is scored live is scored again from a file, bit for bit; the frauds are found by what the plain fields do not show.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from models.sources.spec_file import load_source
from schemas import codec
from schemas.alert import Alert
from schemas.score import Score
from schemas.topics import EVENTS, SCORES, TRANSACTIONS
from services.formats.framing import framed
from services.formats.schema_registry import RegisteredSchema, SchemaRegistry
from services.kafka.topics_admin import create_topics
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.formats.documents import avro
from tests.services.harness import WAIT_S_MAX, Stream
from tests.streams import acquirer, ledger, wallets
from tests.streams.behaviour import Fact, facts
from tests.streams.folder import Folder, interrupt, until_started

NAME = "payments.authorised.v2"
WARM_ROUNDS = 5
"""Before them everything is new to everyone."""

HISTORY = facts(1)
EARLIER = facts(2, subjects=30, rounds=8)
LIVE = facts(3, subjects=50, rounds=16)

Records = Sequence[tuple[bytes, bytes]]


def lines(path: Path, found: Records) -> Path:
    """The records' values as a file."""
    path.write_bytes(b"".join(value + b"\n" for _, value in found))
    return path


async def users_topic(stream: Stream) -> str:
    """Make the user's own topic; its whole name."""
    name = stream.prefix + NAME
    await create_topics(stream.kafka, stream.topics, [replace(TRANSACTIONS, name=name, users=True)])
    return name


class Sending:
    """Writes a shape's records to the user's topic. schema_id: of the registry, where they go as Avro."""

    def __init__(self, stream: Stream, shape: ModuleType, schema_id: int | None) -> None:
        self._stream, self._shape, self._schema_id = stream, shape, schema_id

    async def send(self, some: list[Fact]) -> None:
        """Some payments, at once."""
        found: Records = self._shape.records(some, labelled=False)
        if self._schema_id is not None:
            found = [(key, framed(self._schema_id, avro(wallets.SCHEMA, json.loads(value)))) for key, value in found]
        await self._stream.send([value for _, value in found], [key for key, _ in found], NAME)

    async def send_by_rounds(self, some: list[Fact]) -> None:
        """A day's payments once intake has those of the day before: the order of a subject's is then that of their times."""
        for number in range(some[-1].round + 1):
            await self.send([fact for fact in some if fact.round == number])
            await self._stream.caught_up(group=f"{self._stream.prefix}intake", name=NAME)


async def all_scored(stream: Stream) -> None:
    """Wait until every event has its score."""
    deadline, before = time.monotonic() + WAIT_S_MAX, -1
    events = len(await stream.read(EVENTS.name))
    while (scores := len(await stream.read(SCORES.name))) < events:
        deadline, before = (time.monotonic() + WAIT_S_MAX, scores) if scores != before else (deadline, before)
        assert time.monotonic() < deadline, f"{scores} of {events} events are scored"
        await asyncio.sleep(0.2)


def area(shape: ModuleType, found: dict[str, float]) -> float:
    """AUC of the live payments behind the first days."""
    judged = [fact for fact in LIVE if fact.round >= WARM_ROUNDS]
    by_number = {shape.number_of(name): probability for name, probability in found.items()}
    return float(roc_auc_score([f.fraud for f in judged], [by_number[f.number] for f in judged]))


def batch_scores(path: Path) -> dict[str, tuple[Any, ...]]:
    """By event."""
    frame = pl.read_parquet(path)
    names = ("transaction_id", "probability", "reconstruction_error", "anomaly_percentile", "alert")
    return {row[0]: row[1:] for row in frame.select(names).iter_rows()}


def bits(score: Score) -> tuple[Any, ...]:
    """As a file has them."""
    numbers = (score.probability, score.reconstruction_error, score.anomaly_percentile)
    return (*(float(np.float32(number)) for number in numbers), score.alert)


async def from_init_to_alerts(
    stream: Stream, shape: ModuleType, ids: Sequence[str], init: str, schema_id: int | None, **environment: str
) -> Folder:
    """The README's way, and what must hold at its end. ids: the features of device, network and country that reasons name."""
    sending = Sending(stream, shape, schema_id)
    await sending.send(EARLIER)
    lines(stream.directory / "history.jsonl", shape.records(HISTORY, labelled=True))
    folder = Folder(stream, stream.directory / "shop", environment)
    folder.sh(f"assay init shop {init} --labelled history.jsonl {' '.join(shape.ANSWERS)}", inside=False)
    commands = folder.commands()
    assert list(commands)[:5] == ["train fraud", "bundle sign", "topics create", "run", "tail alerts"]
    for name in ("train fraud", "bundle sign", "topics create"):
        folder.sh(commands[name])
    running = folder.begin(commands["run"], stream.directory / "run.log")
    try:
        await asyncio.to_thread(until_started, running, stream.directory / "run.log")
        await sending.send_by_rounds(LIVE)
        await all_scored(stream)
        assert running.poll() is None, (stream.directory / "run.log").read_text()[-3000:]
        assert "needs intake, scorer" in (stream.directory / "run.log").read_text()
        alerts = [codec.read(Alert, record.value) for record in await stream.read("alerts")]
        await seen_by(folder, commands["tail alerts"], alerts)
    finally:
        status = interrupt(running)
    assert status == 0, (stream.directory / "run.log").read_text()[-3000:]
    frauds = {fact.number for fact in [*EARLIER, *LIVE] if fact.fraud}
    named = {reason.feature for a in alerts if shape.number_of(a.transaction_id) in frauds for reason in a.reasons}
    assert all(any(one in name for name in named) for one in ids), named
    for name in ("source check", "source explain", "features explain"):
        folder.sh(commands[name])
    assert "Intake: " in folder.sh(commands["verify"])
    live = lines(stream.directory / "live.jsonl", shape.records(LIVE, labelled=False))
    folder.sh(commands["batch"].replace("../history.jsonl", str(live)))
    in_file = batch_scores(folder.path / "scores.parquet")
    scores = {s.transaction_id: s for r in await stream.read(SCORES.name) for s in (codec.read(Score, r.value),)}
    assert len(scores) == len(EARLIER) + len(LIVE)
    in_file = {name: found for name, found in in_file.items() if found[0] is not None}
    assert len(in_file) == len(LIVE)
    assert {name: bits(scores[name]) for name in in_file} == in_file
    assert area(shape, {name: score.probability for name, score in scores.items() if name in in_file}) >= 0.95
    return folder


async def seen_by(folder: Folder, line: str, alerts: list[Alert]) -> None:
    """`assay tail` shows each of them, until Ctrl-C."""
    assert alerts
    log, deadline = folder.path.parent / "tail.log", time.monotonic() + WAIT_S_MAX
    tail = folder.begin(line, log)
    try:
        while not all(alert.transaction_id in log.read_text() for alert in alerts):
            assert tail.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            await asyncio.sleep(0.2)
    finally:
        interrupt(tail)


def of_plain_fields(folder: Folder, shape: ModuleType) -> float:
    """AUC where nothing but the event's own fields is read."""
    source = load_source(folder.path / "source.yaml").model_copy(update={"attributes": {}})
    spec = source.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    (folder.path / "plain.yaml").write_text(json.dumps(spec))
    folder.sh("assay init plain --source shop/plain.yaml --labelled history.jsonl --sample history.jsonl", inside=False)
    plain = replace(folder, path=folder.path.parent / "plain")
    quick = (
        " --epochs 4 --no-compared --no-gan --accept constant --accept logistic"  # there is next to nothing to be found
    )
    plain.sh(plain.commands()["train fraud"] + quick)
    plain.sh("ASSAY_ALLOW_UNSIGNED_BUNDLES=true assay batch --bundle bundle ../live.jsonl scores.parquet")
    found = batch_scores(plain.path / "scores.parquet")
    return area(shape, {name: scores[0] for name, scores in found.items() if scores[0] is not None})


@pytest.fixture
def own(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Stream:
    """A Kafka in which nothing of ours has been made yet."""
    return Stream(kafka_bootstrap, topic_prefix, tmp_path, partitions=3)


@pytest.mark.slow
async def test_nested_json_keyed_by_merchant_goes_from_init_to_alerts_in_six_commands(own: Stream) -> None:
    """Device, network and the merchant's country are in the reasons; the plain fields find nothing."""
    topic = await users_topic(own)
    signs = ("device_fingerprint", "ip_network", "merchant_country")
    folder = await from_init_to_alerts(own, acquirer, signs, f"--from {topic}", None)
    assert load_source(folder.path / "source.yaml").routed
    assert 0.4 <= await asyncio.to_thread(of_plain_fields, folder, acquirer) <= 0.62


@pytest.mark.slow
async def test_flat_avro_with_a_registry_goes_from_init_to_alerts_in_six_commands(
    own: Stream, schema_registry: str
) -> None:
    """Epoch seconds, minor units, refunds below 0, keyed by the transfer; both sides are wallets, which is asked."""
    topic = await users_topic(own)
    registry = SchemaRegistry(SchemaRegistrySettings(url=schema_registry), "a test")
    schema_id = await registry.register(f"{topic}-value", RegisteredSchema("AVRO", json.dumps(wallets.SCHEMA)))
    signs = ("handset", "client_ip_network", "bank_country")
    init = f"--from {topic} --format avro"
    await from_init_to_alerts(own, wallets, signs, init, schema_id, ASSAY_SCHEMA_REGISTRY_URL=schema_registry)


@pytest.mark.slow
async def test_a_databases_changes_go_from_init_to_alerts_in_six_commands(own: Stream) -> None:
    """Debezium's envelope, ids of two fields, minor units of three currencies, refunds by a column, rows changed later."""
    topic = await users_topic(own)
    signs = ("devices_fingerprint", "ip_network", "beneficiary_country")
    await from_init_to_alerts(own, ledger, signs, f"--from {topic}", None)
