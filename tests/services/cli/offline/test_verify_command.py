"""`assay verify --watch --bits` beside a scorer that works: one reader follows, one reads at the end, and a replay compares."""

import asyncio
import json

import pytest

from tests.services.cli.test_app import run_main
from tests.services.harness import Stream, payment

PAYMENTS = 400


@pytest.mark.slow
async def test_one_reader_follows_another_reads_at_the_end_and_a_replay_finds_every_bit(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All in one line of JSON, and exit status 0."""
    scorer = stream.scorer(ASSAY_DECISION_SHARE="1")
    scorer.wait_ready()
    for name, value in (
        ("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap),
        ("ASSAY_TOPIC_PREFIX", stream.prefix),
        ("ASSAY_GROUP", stream.group),
    ):
        monkeypatch.setenv(name, value)
    watching = asyncio.create_task(
        asyncio.to_thread(run_main, monkeypatch, "verify", "--watch=6", "--bits", "--from-first-output", "--json")
    )
    await asyncio.sleep(1.0)  # so that what follows is seen while it comes
    await stream.send(json.dumps(payment(i)).encode() for i in range(PAYMENTS))
    await stream.caught_up([scorer])
    assert await watching == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["scores"], found["disagreeing"], found["missing"], found["duplicate"]) == (PAYMENTS, 0, 0, 0)
    assert (found["compared"], found["differing"]) == (PAYMENTS, 0)
    assert scorer.terminate() == 0
