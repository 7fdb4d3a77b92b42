"""Replay of a real stream, kills and moves included."""

import asyncio
import json

import pytest

from tests.services.cli.test_app import run_main
from tests.services.harness import Stream, payment


def replay(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, object]]:
    """Exit status and JSON of `assay replay`."""
    stream.for_commands(monkeypatch)
    status = run_main(monkeypatch, "replay", "--json", "--group", stream.group, *options)
    out = capsys.readouterr().out
    return status, json.loads(out) if out else {}


async def send(stream: Stream, start: int, end: int) -> None:
    """Payments start to end, every fortieth spoiled, every hundredth repeated."""
    payments = [payment(i, amount=-1.0 if i % 40 == 7 else 25.0 + i % 900) for i in range(start, end)]
    payments += payments[::100]
    await stream.send([json.dumps(p).encode() for p in payments], [p["card_id"].encode() for p in payments])


@pytest.mark.slow
async def test_scores_of_killed_and_moved_partitions_are_those_of_a_replay(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed after a commit, killed in the middle of a transaction, moved to a second scorer: 0 differing bits."""
    doomed = stream.scorer(ASSAY_FAILPOINT="after_commit:9", ASSAY_BATCH_RECORDS_MAX="100")
    await send(stream, 0, 3000)
    assert doomed.wait() != 0
    again = stream.scorer(ASSAY_FAILPOINT="after_sends:15", ASSAY_BATCH_RECORDS_MAX="64")
    await send(stream, 3000, 6000)
    assert again.wait() != 0
    first = stream.scorer(ASSAY_BATCH_RECORDS_MAX="300")
    first.wait_for_log("group.assigned")
    second = stream.scorer()
    second.wait_for_log("group.assigned")
    await send(stream, 6000, 8000)
    await stream.caught_up([first, second])
    assert [first.terminate(), second.terminate()] == [0, 0]
    verdict = await stream.verdict()
    assert verdict.clean
    status, found = await in_thread(stream, monkeypatch, capsys)
    assert (status, found["compared"], found["differing"]) == (0, verdict.scores, 0), found
    assert found["not_emitted"] == found["not_replayed"] == found["other_model"] == 0
    status, found = await in_thread(stream, monkeypatch, capsys, "--to", "2020-01-01")
    assert (status, found["compared"]) == (1, 0)
    archive = str(stream.directory / "archive")
    assert await asyncio.to_thread(run_main, monkeypatch, "archive", "--group", stream.group, archive, "--json") == 0
    assert json.loads(capsys.readouterr().out)["scores"] == verdict.scores
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    assert (await asyncio.to_thread(run_main, monkeypatch, "replay", "--archive", archive, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["compared"] == verdict.scores, "from the files alone"
    monkeypatch.setenv("ASSAY_CARDS_MAX", "40")
    status, found = await in_thread(stream, monkeypatch, capsys)
    assert status == 1, "with another memory the cards have other histories"
    assert isinstance(found["differing"], int)
    assert found["differing"] > 0


async def in_thread(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, object]]:
    """The command runs a loop of its own, so it gets a thread of its own."""
    return await asyncio.to_thread(replay, stream, monkeypatch, capsys, *options)


def test_a_group_that_never_was_is_one_sentence(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    assert run_main(monkeypatch, "replay", "--group", "nobody", "--from", "2026-01-01") == 2
    assert "has committed nothing" in capsys.readouterr().err
