"""A model can always be changed back; what was refused or never recorded changes nothing; what is forged stops nothing."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.control import BundleRef
from services import commanding
from services.cli.app import app
from services.commanding import ControlCommand
from services.kafka.client import plain_producer
from services.settings.processing import RuntimeSettings
from tests.services.harness import Scorer, Stream
from tests.services.scorer.shop import Shop, other_features


@pytest.fixture
async def shop(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """fraud/1 is champion."""
    shop = Shop(stream, monkeypatch)
    await shop.assay("registry", "publish", str(stream.directory / "v1"))
    await shop.assay("registry", "promote", "fraud/1", "--offline")
    return shop


async def history(shop: Shop) -> Any:
    """What the registry says."""
    return await shop.assay("registry", "history")


async def restarted(shop: Shop, scorer: Scorer) -> Scorer:
    """Its successor, ready."""
    assert scorer.terminate() == 0
    heir = shop.stream.scorer()
    heir.wait_ready()
    return heir


@pytest.mark.slow
async def test_one_command_leads_back_across_features_and_no_restart_leads_forward_again(shop: Shop) -> None:
    """After --rebuild-state: rolled back while it runs, histories folded for the old features, and so after a restart."""
    scorer = shop.stream.scorer()
    await shop.send(400, [scorer])
    assert (await shop.release(2, "--rebuild-state", manifest=other_features()))["recorded"]
    await shop.send(400, [scorer])
    scorer = await restarted(shop, scorer)
    assert scorer.metric("assay_model_info", bundle="fraud/2") == 1
    done = await shop.assay("registry", "rollback", "fraud")
    assert (done["recorded"], done["refused"], done["answered"]) == (True, 0, 4)
    await shop.send(400, [scorer])
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    scorer = await restarted(shop, scorer)
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    await shop.send(400, [scorer])
    assert scorer.terminate() == 0
    await shop.clean()
    assert [await shop.replayed(1), await shop.replayed(2)] == [1200, 400]


@pytest.mark.slow
async def test_a_group_that_is_stopped_and_started_with_other_features_folds_every_history_again(shop: Shop) -> None:
    """A retrained bundle reads features that the old one did not: its first score has what came before it was there."""
    scorer = shop.stream.scorer()
    await shop.send(400, [scorer])
    assert scorer.terminate() == 0
    await shop.assay("registry", "publish", str(shop.make(2, manifest=other_features())))
    await shop.assay("registry", "promote", "fraud/2", "--offline")
    heir = shop.stream.scorer()
    await shop.send(400, [heir])
    assert heir.metric("assay_model_info", bundle="fraud/2") == 1
    assert heir.terminate() == 0
    await shop.clean()
    assert [await shop.replayed(1), await shop.replayed(2)] == [400, 400]


@pytest.mark.slow
async def test_what_a_scorer_refuses_or_does_not_answer_changes_nothing(shop: Shop) -> None:
    """Not the registry, not the process, not the next start; the other way round it may then still be promoted."""
    before = await history(shop)
    await shop.assay("registry", "publish", str(shop.make(2, manifest=other_features())))
    published = await history(shop)
    said = await asyncio.to_thread(CliRunner().invoke, app, ["registry", "promote", "fraud/2", "--wait", "1"])
    assert said.exit_code == 1, said.output
    assert "nothing has changed. No scorer answered" in " ".join(said.output.split())
    scorer = shop.stream.scorer()
    scorer.wait_ready()
    done = await shop.assay("registry", "promote", "fraud/2", status=1)
    assert (done["recorded"], done["refused"]) == (False, 4)
    assert await history(shop) == published
    assert published["champion"] == before["champion"] == "fraud/1"
    scorer = await restarted(shop, scorer)
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    assert (await shop.assay("registry", "promote", "fraud/2", "--rebuild-state"))["recorded"]
    assert (await history(shop))["champion"] == "fraud/2"


@pytest.mark.slow
async def test_a_command_line_that_dies_before_it_records_leaves_one_command_back_and_one_forward(shop: Shop) -> None:
    """The scorers stay with what they were commanded, over a restart; rollback takes that back; promote completes it."""
    scorer = shop.stream.scorer()
    scorer.wait_ready()
    await shop.assay("registry", "publish", str(shop.make(2, other=True)))
    steps = len((await history(shop))["steps"])
    for command, champion in (("rollback", "fraud/1"), ("promote", "fraud/2")):
        wanted = BundleRef(name="fraud", version=2, digest=await digest(shop, 2))
        order = ControlCommand(uuid.uuid4().hex, "champion", wanted, registry_steps=steps)
        assert (await commanding.command(order, shop.stream.group, "a test", 60)).agreed
        scorer = await restarted(shop, scorer)
        assert scorer.metric("assay_model_info", bundle="fraud/2") == 1
        done = await shop.assay("registry", command, "fraud" if command == "rollback" else "fraud/2")
        assert (done["recorded"], done["bundle"]) == (True, champion)
        assert scorer.metric("assay_model_info", bundle=champion) == 1
        assert (await history(shop))["champion"] == champion


async def digest(shop: Shop, version: int) -> str:
    """Of a published version."""
    found = await shop.assay("registry", "lineage", f"fraud/{version}")
    return str(found["digest"])


async def put(shop: Shop, topic: str, value: Any, key: bytes = b"forged") -> None:
    """A record that somebody forged."""
    producer = plain_producer(shop.stream.kafka, RuntimeSettings())
    await producer.start()
    try:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        await producer.send_and_wait(shop.stream.prefix + topic, content, key=key)
    finally:
        await producer.stop()


def forged(shop: Shop, **changes: Any) -> dict[str, Any]:
    """A record on one of the two topics, nearly as it should be."""
    record = {"kind": "acknowledgement", "channel": "champion", "command_id": "z", "at_ms": 1, "by": "x"}
    return {**record, "group": shop.stream.group, **changes}


NOBODYS = {"name": "fraud", "version": 2, "digest": "0" * 64}


@pytest.mark.slow
async def test_nothing_forged_stops_a_start_or_hides_a_command(shop: Shop) -> None:
    """On either topic: answers of bundles that no one has, refusals of the real command, commands without a bundle, garbage."""
    scorer = shop.stream.scorer()
    scorer.wait_ready()
    await shop.release(2, other=True)
    real = next(c.command_id for c in await shop.controls() if c.bundle is not None and c.bundle.version == 2)
    records = [
        forged(shop, bundle=NOBODYS, outcome="in_force", source_partition=0),
        forged(shop, command_id=real, outcome="refused", source_partition=77),
        forged(shop, bundle={**NOBODYS, "name": "../../../etc"}, outcome="in_force", source_partition=0),
        forged(shop, kind="command", rollback=True, bundle=NOBODYS, command_id=f"rollback-{real}"),
        b'{"z": ' + b"9" * 5000 + b"}",
        b"\xff",
    ]
    for topic in ("control", "control-answers"):
        for record in records:
            await put(shop, topic, record)
    for channel in ("champion", "challenger"):
        await put(shop, "control", forged(shop, kind="command", channel=channel, command_id=channel))
    await shop.send(100, [scorer])
    assert scorer.ready()
    scorer = await restarted(shop, scorer)
    await shop.send(100, [scorer])
    assert scorer.metric("assay_model_info", bundle="fraud/2") == 1, "the registry says so"
    assert scorer.metric("assay_table_records_refused_total", topic="control") == 3
    assert (await shop.assay("registry", "rollback", "fraud"))["recorded"]
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    assert scorer.terminate() == 0
    await shop.clean()


async def test_a_profile_that_fits_no_table_is_skipped_and_the_next_one_is_taken(shop: Shop) -> None:
    """Counts beyond any number of payments, lists of unequal length, garbage: named, counted, and the table stays young."""
    scorer = shop.stream.scorer()
    scorer.wait_ready()
    profile = {"terminal_id": "t", "last_day": 20000, "payments": [1], "frauds": [0]}
    for changes in ({"payments": [2**31]}, {"payments": [1, 2, 3]}, {"frauds": []}, {"last_day": 2**40}):
        await put(shop, "terminal-profiles", {**profile, **changes})
    await put(shop, "terminal-profiles", b"\xff")
    await put(shop, "terminal-profiles", profile)
    await shop.send(100, [scorer])
    assert scorer.metric("assay_table_records_refused_total", topic="terminal-profiles") >= 2
    assert scorer.metric("assay_table_lag_records", topic="terminal-profiles") == 0
    assert scorer.ready()
    scorer = await restarted(shop, scorer)
    assert scorer.terminate() == 0
