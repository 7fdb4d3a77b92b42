"""Scorer and profiler together on the real broker: profiles are what happened, and a replay sees what each score saw."""

import asyncio
import json
from collections import Counter

import pytest

from schemas.topics import PROFILES_OFFSET_HEADER, SCORES, TERMINAL_PROFILES
from tests.services.cli.test_app import run_main
from tests.services.harness import BASE_TIME_MS, WAIT_S_MAX, Stream, payment

DAY_MS = 86_400_000
STEP_MS = 600_000
PAYMENTS = 6000  # 41 days
HALF = 3000


def paid(i: int) -> dict[str, object]:
    """The i-th payment, one every ten minutes."""
    return payment(i, event_time_ms=BASE_TIME_MS + i * STEP_MS, amount=25.0 + i % 900)


def is_fraud(i: int) -> bool:
    """Terminal 3 is compromised."""
    return i % 20 == 3 and i % 3 == 0


async def send(stream: Stream, start: int, end: int) -> None:
    """Payments, and after them the labels of their frauds; every fourth fraud is taken back."""
    payments = [paid(i) for i in range(start, end)]
    await stream.send([json.dumps(p).encode() for p in payments], [str(p["card_id"]).encode() for p in payments])
    labels = []
    for i in filter(is_fraud, range(start, end)):
        said = {"transaction_id": paid(i)["transaction_id"], "source": "analyst", "labelled_at_ms": BASE_TIME_MS}
        labels.append(
            {**said, "verdict": "fraud", "terminal_id": "terminal-003", "event_time_ms": paid(i)["event_time_ms"]}
        )
        if i % 4 == 0:
            labels.append({**said, "verdict": "legitimate"})
    await stream.send(
        [json.dumps(one).encode() for one in labels], [one["transaction_id"].encode() for one in labels], "labels"
    )


async def profiles(stream: Stream) -> dict[str, dict[str, list[int]]]:
    """The newest profile of each terminal."""
    return {record.key.decode(): json.loads(record.value) for record in await stream.read(TERMINAL_PROFILES.name)}


def expected(terminal: int, end: int) -> tuple[list[int], list[int]]:
    """Payments and frauds of the terminal on each day that was over for every partition."""
    last_day = BASE_TIME_MS // DAY_MS + (end * STEP_MS) // DAY_MS - 1
    days = [(BASE_TIME_MS + i * STEP_MS) // DAY_MS for i in range(end) if i % 20 == terminal]
    frauds = [
        (BASE_TIME_MS + i * STEP_MS) // DAY_MS for i in range(end) if i % 20 == terminal and is_fraud(i) and i % 4 != 0
    ]
    counted, fraudulent = Counter(days), Counter(frauds)
    first = BASE_TIME_MS // DAY_MS
    return [counted[d] for d in range(first, last_day + 1)], [fraudulent[d] for d in range(first, last_day + 1)]


async def settled(stream: Stream, end: int) -> dict[str, dict[str, list[int]]]:
    """Wait until the profiles say what they should; fails with the difference."""
    deadline = asyncio.get_running_loop().time() + WAIT_S_MAX
    while True:
        found = await profiles(stream)
        wanted = {f"terminal-{t:03d}": expected(t, end) for t in range(20)}
        days = len(wanted["terminal-000"][0])
        said = {terminal: (profile["payments"][:days], profile["frauds"][:days]) for terminal, profile in found.items()}
        if said == wanted:
            return found
        assert asyncio.get_running_loop().time() < deadline, (said.get("terminal-003"), wanted["terminal-003"])
        await asyncio.sleep(0.3)


@pytest.mark.slow
async def test_profiles_hold_what_happened_and_replay_sees_what_was_seen(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both processes are killed in between; every score's bits come back, and the terminals' history moves the scores."""
    profiler, scorer = stream.service("services.profiler"), stream.scorer()
    await send(stream, 0, HALF)
    await stream.caught_up([scorer, profiler])
    await settled(stream, HALF)
    profiler.kill()
    scorer.kill()
    profiler, scorer = stream.service("services.profiler"), stream.scorer()
    await send(stream, HALF, PAYMENTS)
    await stream.caught_up([scorer, profiler])
    await settled(stream, PAYMENTS)
    assert [scorer.terminate(), profiler.terminate()] == [0, 0]
    assert (await stream.verdict()).clean

    scores = await stream.read(SCORES.name)
    known = {int(dict(record.headers)[PROFILES_OFFSET_HEADER]) for record in scores}
    assert max(known) > 0
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    status = await asyncio.to_thread(run_main, monkeypatch, "replay", "--json", "--group", stream.group)
    found = json.loads(capsys.readouterr().out)
    assert (status, found["compared"], found["differing"]) == (0, PAYMENTS, 0), found
    decisions = [json.loads(record.value) for record in await stream.read("decisions")]
    names = json.loads(await asyncio.to_thread(manifest))["feature_spec"]["features"]
    rate = [feature["name"] for feature in names].index("terminal_fraud_rate_30d")
    assert any(decision["features"][rate] > 0 for decision in decisions)


def manifest() -> str:
    """Of the bundle that scored."""
    import os
    from pathlib import Path

    return (Path(os.environ.get("ASSAY_BUNDLE", "deploy/bundles/fraud")) / "manifest.json").read_text()
