"""`assay simulate --from gan` on the real broker: what a generator draws, the scorer scores."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from schemas import codec
from schemas.score import Score
from services.cli.app import app
from tests.services.harness import Stream

COUNT = 3_000


async def simulate(*arguments: str) -> dict[str, float]:
    """What the command says at its end; it has an event loop of its own."""
    command = ["simulate", "--from", "gan", "--json", "--rate", "20000", "--customers", "300", *arguments]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code == 0, done.output
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


async def test_the_scorer_scores_every_generated_payment_and_a_run_repeats(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No dead letter, one score each; the same seed sends the same payments, which are then duplicates."""
    for name, value in {"KAFKA_BOOTSTRAP": stream.bootstrap, "TOPIC_PREFIX": stream.prefix}.items():
        monkeypatch.setenv(f"ASSAY_{name}", value)
    scorer = stream.scorer(ASSAY_DEAD_LETTER_SHARE_MAX="1.0")
    assert (await simulate("--count", str(COUNT), "--seed", "3"))["records"] == COUNT
    await stream.caught_up([scorer])
    scores = [codec.read(Score, record.value) for record in await stream.read("scores")]
    assert len(scores) == COUNT
    assert not await stream.read("dead-letters")
    assert {score.card_id.isascii() and score.card_id.startswith("card-") for score in scores} == {True}
    await simulate("--count", "50", "--seed", "3")
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    assert len(await stream.read("dead-letters")) == 50
    assert (await stream.verdict()).clean
