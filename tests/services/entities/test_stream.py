"""The stages on a real Kafka: what the scorer reads of an entity is its history over the whole stream, exactly once."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import codec
from schemas.decision import Decision
from schemas.feature_spec import FeatureSpec
from schemas.topics import ENTITY_FEATURES, TRANSACTIONS
from services.entities.chain import Chain
from services.entities.replayed import StagesComparison, replay_stages
from services.kafka.client import reader
from services.scorer.processor import Limits
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.verification.hops import HopsVerdict, verify_hops
from services.verification.pipeline import PAYMENTS
from services.verification.verify import verify
from tests.services.cli.test_app import run_main
from tests.services.entities.making import (
    ROUNDS,
    bundle_of_entities,
    environment_of,
    file_features,
    round_of,
    spec_of_entities,
    values_of,
)
from tests.services.harness import WAIT_S_MAX, Scorer, Stream


async def scored(stream: Stream, number: int, processes: list[Scorer]) -> None:
    """Wait until there are so many scores: positions do not tell, since a chain's topics end in markers."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while (found := len(await stream.read("scores"))) < number:
        for process in processes:
            assert process.returncode is None, process.log()[-2000:]
        assert time.monotonic() < deadline_s, f"{found} of {number}: {[process.log()[-1500:] for process in processes]}"


async def decided(stream: Stream) -> dict[str, np.ndarray]:
    """Features as scored, by transaction."""
    decisions = [codec.read(Decision, record.value) for record in await stream.read("decisions")]
    return {decision.transaction_id: np.array(decision.features, np.float32) for decision in decisions}


async def hops_of(stream: Stream, spec: FeatureSpec) -> HopsVerdict:
    """What the oracle says of the way to the scorer."""
    group = f"{stream.prefix}entities"
    return await verify_hops(stream.kafka, stream.topics, group, TRANSACTIONS, spec.stages)


async def stages_again(stream: Stream, spec: FeatureSpec, ids_max: int) -> StagesComparison:
    """What a replay of the stages finds."""
    chain = Chain(spec, None, stream.prefix, ids_max)
    limits = Limits.of(RuntimeSettings(), ScorerSettings())
    consumer = reader(stream.kafka)
    await consumer.start()
    try:
        group = f"{stream.prefix}entities"
        return await replay_stages(consumer, stream.kafka, stream.topics, group, chain, limits)
    finally:
        await consumer.stop()


async def same_bits(stream: Stream, spec: FeatureSpec, sent: list[dict[str, Any]]) -> None:
    """What was scored has the features that a file of the same payments gets."""
    found, expected = await decided(stream), file_features(spec, sent)
    assert len(found) == len(sent)
    for payment, features in zip(sent, expected, strict=True):
        np.testing.assert_array_equal(found[payment["transaction_id"]].view(np.uint32), features.view(np.uint32))
    merchant = expected[:, spec.names.index("merchant_cards_1h")]
    assert merchant.max() > 2


async def test_four_partitions_give_the_bits_of_the_file(stream: Stream, tmp_path: Path) -> None:
    """A card's features and an entity's alike: cards of several partitions meet at a merchant."""
    environment, spec = environment_of(bundle_of_entities(tmp_path / "bundle")), spec_of_entities()
    processes, sent = [stream.scorer(**environment), stream.entities(**environment)], []
    for number in range(3):
        payments = round_of(number)
        sent += payments
        await stream.send(*values_of(payments))
        await scored(stream, len(sent), processes)
    await same_bits(stream, spec, sent)
    same = await stages_again(stream, spec, ids_max=1_000)
    assert (same.compared, same.equal) == (2 * len(sent), True), same
    assert (await stages_again(stream, spec, ids_max=1)).differing > 0  # which forgets what the stages remembered
    hops = await hops_of(stream, spec)
    assert hops.clean, hops
    assert hops.stages == {"merchant": len(sent), "corridor": len(sent), ENTITY_FEATURES.name: len(sent)}


@pytest.mark.slow
async def test_four_partitions_give_the_bits_of_the_file_across_a_kill_of_each_stage(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Payments of an entity come in order of time, over all partitions; the router and a stage are killed on the way."""
    environment, spec = environment_of(bundle_of_entities(tmp_path / "bundle")), spec_of_entities()
    sent: list[dict[str, Any]] = []
    scorer = stream.scorer(**environment)
    stages = [stream.entities(**environment)]
    for number in range(ROUNDS):
        payments = round_of(number)
        sent += payments
        values, keys = values_of(payments)
        if number == 1:
            assert stages[0].terminate() == 0
            doomed = stream.entities(**environment, ASSAY_FAILPOINT="after_sends:6")
        await stream.send([*values, values[0]], [*keys, keys[0]])  # one comes twice
        if number == 1:
            assert doomed.wait() != 0
            stages = [stream.entities(**environment), stream.entities(**environment)]
        if number == 3:
            stages.pop().kill()
        await scored(stream, len(sent), [scorer, *stages])
    await same_bits(stream, spec, sent)
    assert len({record.partition for record in await stream.read(ENTITY_FEATURES.name)}) == stream.partitions

    verdict = await verify(stream.kafka, stream.topics, stream.group, PAYMENTS.of_entities())
    assert verdict.clean, verdict
    assert verdict.scores == len(sent)
    hops = await hops_of(stream, spec)
    assert hops.clean, hops
    assert hops.verdict.inputs == len(sent) + ROUNDS
    assert hops.stages == {"merchant": len(sent), "corridor": len(sent), ENTITY_FEATURES.name: len(sent)}
    dead = [json.loads(record.value)["reason"] for record in await stream.read("dead-letters")]
    assert dead == ["duplicate"] * ROUNDS
    settings = {"ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap, "ASSAY_TOPIC_PREFIX": stream.prefix}
    for name, value in {**environment, **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSAY_ENTITIES_GROUP", f"{stream.prefix}entities")
    judge = ("verify", "--entities", "--bits", "--json", "--group", stream.group)
    assert await asyncio.to_thread(run_main, monkeypatch, *judge) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["entities"]["stages"]["corridor"] == len(sent)
    assert (found["stages_compared"], found["stages_differing"], found["differing"]) == (2 * len(sent), 0, 0)
    assert await asyncio.to_thread(run_main, monkeypatch, "replay", "--json", "--group", stream.group) == 0
    assert json.loads(capsys.readouterr().out)["compared"] == len(sent)
