"""A scorer that stands still says so, and why: transactions left open, a fetcher that is stuck, partitions that are held."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.operating.standing import held_partitions, open_transactions
from services.errors import AssayError
from tests.services.harness import ROOT, WAIT_S_MAX, Scorer, Stream, payment


@pytest.fixture
async def one(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream whose first partition alone is used; the command line looks at it."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_GROUP", stream.group)
    return stream


def payments(first: int, last: int) -> list[bytes]:
    """Of these numbers."""
    return [json.dumps(payment(i)).encode() for i in range(first, last)]


async def until(true: Callable[[], bool], scorer: Scorer) -> None:
    """Wait until it is."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while not true():
        assert time.monotonic() < deadline_s, scorer.log()[-2000:]
        await asyncio.sleep(0.1)


async def upstream(stream: Stream) -> AIOKafkaProducer:
    """A producer of payments that writes in transactions."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stream.bootstrap, transactional_id=f"{stream.prefix}upstream", transaction_timeout_ms=60_000
    )
    await producer.start()
    return producer


@pytest.mark.slow
async def test_an_open_transaction_upstream_is_named_and_takes_readiness_away(one: Stream) -> None:
    """As it was: nothing is scored, the lag is 0, /readyz says yes and the log nothing."""
    scorer = one.scorer(ASSAY_PROGRESS_TIMEOUT_S="3")
    scorer.wait_ready()
    topic, producer = f"{one.prefix}transactions", await upstream(one)
    await producer.begin_transaction()
    await producer.send_and_wait(topic, payments(0, 1)[0], partition=0)
    await one.send(payments(1, 41))
    await until(lambda: "producer id" in scorer.get("/readyz")[1], scorer)
    status, why = scorer.get("/readyz")
    assert status == 503
    assert f"{topic}-0: the offsets 0 to " in why
    assert f"transactional id {one.prefix}upstream, producer id" in why
    assert "open since offset 0" in why
    assert scorer.metric("assay_lag_records", partition="0") == 11
    assert scorer.metric("assay_open_transaction_seconds", partition="0") >= 3
    assert scorer.metric("assay_open_transaction_seconds", partition="1") == 0
    with pytest.raises(AssayError, match=f"{one.prefix}upstream"):
        await open_transactions()
    await asyncio.sleep(4)  # twice the bound: another process could do no more, so this one stays
    assert scorer.returncode is None
    await producer.abort_transaction()
    await until(lambda: scorer.get("/readyz")[0] == 200, scorer)
    await until(lambda: scorer.metric("assay_records_total") == 40, scorer)
    await producer.stop()
    assert await open_transactions() == "none on the inputs"


@pytest.mark.slow
async def test_a_log_that_ends_with_markers_has_no_lag(one: Stream) -> None:
    """A committed transaction's marker is an offset, and no record: the lag stayed 1 for ever."""
    scorer = one.scorer(ASSAY_PROGRESS_TIMEOUT_S="3")
    scorer.wait_ready()
    producer = await upstream(one)
    for commits in (True, False):
        await producer.begin_transaction()
        for value in payments(0, 5) if commits else payments(5, 10):
            await producer.send_and_wait(f"{one.prefix}transactions", value, partition=0)
        await (producer.commit_transaction() if commits else producer.abort_transaction())
    await producer.stop()
    await until(lambda: scorer.metric("assay_records_total") == 5, scorer)
    await until(lambda: scorer.metric("assay_lag_records") == 0, scorer)
    await asyncio.sleep(7)  # more than twice the bound
    assert scorer.get("/readyz") == (200, "ok\n")
    assert scorer.terminate() == 0


@pytest.mark.slow
async def test_a_fetcher_that_is_stuck_ends_the_process(one: Stream, tmp_path: Path) -> None:
    """Rule F: heartbeats and all else go on, polls come back empty while records wait."""
    stall = tmp_path / "stall"
    path = os.pathsep.join([str(ROOT / "tests/services/stall"), str(ROOT)])
    scorer = one.scorer(
        ASSAY_PROGRESS_TIMEOUT_S="4", ASSAY_REQUEST_TIMEOUT_S="3", STALL_FETCHES_FILE=str(stall), PYTHONPATH=path
    )
    scorer.wait_ready()
    await one.send(payments(0, 100))
    await one.caught_up([scorer])
    stall.touch()
    await until((tmp_path / "stall.stalled").exists, scorer)  # one that was under way before may still bring records
    await one.send(payments(100, 200))
    await until(lambda: not scorer.ready(), scorer)
    assert await asyncio.to_thread(scorer.wait) == 2
    assert "have records waiting but committed none" in scorer.log()


async def test_a_held_partition_is_shown_and_decided_about_on_the_running_process(one: Stream) -> None:
    """Everything is bad from offset 0: nothing was committed, and as it was the reason appeared nowhere."""
    framed = [b"\x00\x00\x00\x00\x07\x0ct%04d" % number for number in range(600)]
    await one.send(value for good in framed for value in (good, *payments(0, 0)))
    scorer = one.scorer()
    await until(lambda: scorer.metric("assay_partition_held") == 4, scorer)
    status, why = scorer.get("/readyz")
    assert status == 503
    assert f"{one.prefix}transactions-0 is held at offset 0: more than 50% of the last records" in why
    assert "undecodable" in why
    with pytest.raises(AssayError, match=r"transactions-0 is held at offset 0: .* undecodable.*assay held show"):
        await held_partitions()
    at, name = f"http://{scorer.address()}", f"{one.prefix}transactions-0"
    shown = await cli("held", "show", "--at", at, "--json")
    found = {held["partition"]: held for held in json.loads(shown)}[name]
    assert found["faults"][0] == {"offset": 0, "reason": "undecodable", "detail": "not well-formed JSON in UTF-8"}
    assert "t0000" not in shown
    await cli("held", "retry", name, "--at", at)
    await until(lambda: scorer.log().count('"partition.held"') == 5, scorer)
    await cli("held", "let-through", name, "--below", "150", "--at", at)
    await until(lambda: scorer.metric("assay_records_total", partition="0") == 150, scorer)
    assert scorer.metric("assay_dead_letters_total", reason="undecodable") == 150
    assert scorer.metric("assay_partition_held", partition="1") == 1
    await one.send([payments(0, 1)[0], None, None, None])
    await until(lambda: scorer.metric("assay_scores_total") == 1, scorer)
    assert scorer.terminate() == 0
    letters = await one.read("dead-letters")
    assert [record.offset for record in letters if record.partition == 0][:1]
    verdict = await one.verdict()
    assert verdict.clean, verdict.as_dict()


async def cli(*arguments: str) -> str:
    """What the command prints."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


async def test_payments_that_are_sent_again_hold_nothing(one: Stream) -> None:
    """A source that repeats itself is no source of garbage: a dead letter each, and the partition goes on."""
    scorer = one.scorer(ASSAY_DEAD_LETTER_WINDOW_RECORDS="100")
    scorer.wait_ready()
    for _ in range(3):
        await one.send(payments(0, 800))
        await one.caught_up([scorer])
    await one.send(payments(800, 1200))
    await one.caught_up([scorer])
    assert scorer.metric("assay_scores_total") == 1200
    assert scorer.metric("assay_dead_letters_total", reason="duplicate") == 1600
    assert scorer.metric("assay_partition_held") == 0
    assert scorer.get("/readyz") == (200, "ok\n")
