"""A policy and a list change every two seconds while payments come and scorers are killed: each decision is found again."""

import asyncio
import contextlib
import json
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from models.bundle.keys import PrivateKey
from models.policy.policy_file import parse_policy
from models.policy.signed import signed, write_policy
from schemas import codec
from schemas.control import Control
from schemas.policy import Policy
from schemas.topics import CONTROL_ANSWERS, SCORES, SOURCE_OFFSET_HEADER
from tests.services.cli.test_app import run_main
from tests.services.harness import ROOT, Stream, payment

Assay = Callable[..., Awaitable[tuple[int, Any]]]
"""A command: its status and its JSON."""

LOAD_S, SWAP_S, KILL_S = 27.0, 2.0, 8.0
RATE, TICK_S = 800, 0.25
VERSIONS = 14

TEXT = """
name: fraud
version: {version}
lists: [blocked]
thresholds: {{probability: {threshold}}}
actions: {{probability: {action}, anomaly_percentile: challenge}}
rules:
  - {{name: large_{version}, words: a large payment, condition: amount > {large}, action: decline, owner: a test}}
  - {{name: listed, words: on the list, condition: "card_id IN LIST('blocked')", action: decline, owner: a test}}
  - {{name: ours, words: a terminal of our own, condition: "terminal_id = 'terminal-00{digit}'", action: approve, owner: me}}
  - {{name: frequent, words: often, condition: card_count_30d > {digit}, action: challenge, owner: a test, share: 0.5}}
  - {{name: tried, words: not yet, condition: amount < {large}, action: decline, owner: a test, state: shadow}}
"""


def policy_of(version: int) -> Policy:
    """Each version decides otherwise than the one before."""
    action, threshold = ("review", "decline")[version % 2], 0.3 + version % 5 / 10
    return parse_policy(
        TEXT.format(version=version, threshold=threshold, action=action, large=500 + 20 * version, digit=version % 10)
    )


async def pay(stream: Stream) -> int:
    """Payments at a steady rate for as long as the load lasts; how many."""
    sent, begun_s = 0, time.monotonic()
    while time.monotonic() - begun_s < LOAD_S:
        due = int((time.monotonic() - begun_s + TICK_S) * RATE)
        batch = [payment(i, amount=25.0 + i % 950) for i in range(sent, due)]
        await stream.send([json.dumps(p).encode() for p in batch], [p["card_id"].encode() for p in batch])
        sent = due
        await asyncio.sleep(TICK_S)
    return sent


async def kill(stream: Stream, settings: dict[str, str]) -> int:
    """kill -9 of the older of two scorers, and another in its place, until it is cancelled; how often."""
    kills = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(KILL_S)
            alive = [process for process in stream.processes if process.returncode is None]
            alive[0].kill()
            stream.scorer(**settings)
            kills += 1
    return kills


def environment(stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of the commands; and the settings of the scorers."""
    registry = str(tmp_path / "registry")
    variables = {
        "ASSAY_REGISTRY_URL": registry,
        "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
        "ASSAY_TOPIC_PREFIX": stream.prefix,
        "ASSAY_PARTITIONS": str(stream.partitions),
        "ASSAY_GROUP": stream.group,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return {"ASSAY_REGISTRY_URL": registry, "ASSAY_CONTROL_SHARE": "0.1"}


async def publish(assay: Assay, key: PrivateKey, tmp_path: Path) -> None:
    """The demo's bundle and every version; the first one decides."""
    assert (await assay("registry", "publish", str(ROOT / "deploy/bundles/fraud")))[0] == 0
    assert (await assay("registry", "promote", "fraud/1", "--offline"))[0] == 0
    for version in range(1, VERSIONS + 1):
        write_policy(tmp_path / "next.policy", signed(policy_of(version), key))
        assert (await assay("policy", "publish", str(tmp_path / "next.policy")))[0] == 0
    assert (await assay("policy", "promote", "fraud/1", "--offline"))[0] == 0


def check_acknowledged(answers: list[Control], scores: list[tuple[int, int, Any]]) -> None:
    """A policy decides from where its partition acknowledged it to the next answer. scores: partition, offset, score."""
    for partition in {on for on, _, _ in scores}:
        # of two answers about one offset the later is by the later owner
        said = {a.from_offset: a.bundle for a in answers if a.channel == "policy" and a.source_partition == partition}
        begins = sorted(offset for offset in said if offset is not None)
        assert len(begins) > 1
        for on, at, score in scores:
            if on != partition or at < begins[0]:
                continue
            held = said[begins[bisect_right(begins, at) - 1]]
            assert held is not None
            assert score["policy"].startswith(f"{held}@"), (partition, at, score["policy"], said)


@pytest.mark.slow
@pytest.mark.alone
async def test_each_decision_names_its_policy_and_a_replay_finds_its_action_bit_for_bit(
    stream: Stream, key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing lost or twice, no action but its policy's, and each partition's policy is the one that it acknowledged."""
    settings = environment(stream, tmp_path, monkeypatch)

    async def assay(*words: str) -> tuple[int, Any]:
        status = await asyncio.to_thread(run_main, monkeypatch, *words, "--json")
        out = capsys.readouterr().out
        return status, json.loads(out) if out else None

    await publish(assay, key, tmp_path)
    for scorer in (stream.scorer(**settings), stream.scorer(**settings)):
        await asyncio.to_thread(scorer.wait_ready)

    paying, killing = asyncio.create_task(pay(stream)), asyncio.create_task(kill(stream, settings))
    version = 1
    while not paying.done() and version < VERSIONS:
        next_s = time.monotonic() + SWAP_S
        version += 1
        # no one is waited for: of two scorers one may be dead
        assert (await assay("policy", "promote", f"fraud/{version}", "--wait", "0"))[0] == 0
        card = f"card_id=card-{version * 13 % 500:04d}"
        assert (await assay("lists", "add", "blocked", card, "--reason", "a test", "--purpose", "deny"))[0] == 0
        await asyncio.sleep(max(0.0, next_s - time.monotonic()))
    sent = await paying
    killing.cancel()
    kills = await killing
    assert kills >= 3
    await stream.caught_up()
    for process in stream.processes:
        if process.returncode is None:
            assert process.terminate() == 0

    records = [(r.partition, dict(r.headers), json.loads(r.value)) for r in await stream.read(SCORES.name)]
    scores = [(partition, int(headers[SOURCE_OFFSET_HEADER]), score) for partition, headers, score in records]
    named = {score["policy"] for _, _, score in scores}
    whole = {f"fraud/{v}@{policy_of(v).digest()[:12]}" for v in range(1, VERSIONS + 1)}
    assert named <= whole
    assert len(named) >= version // 3, "not all: while a scorer is missed, its partitions wait"
    check_acknowledged([codec.read(Control, r.value or b"") for r in await stream.read(CONTROL_ANSWERS.name)], scores)

    status, found = await assay("verify", "--bits")
    assert (status, found["scores"], found["misjudged"], found["unruled"]) == (0, sent, 0, 0), found
    assert (found["compared"], found["differing"], found["other_policy"]) == (sent, 0, 0), found
    listed = [score for _, _, score in scores if "listed" in score.get("rules", ())]
    assert listed, "cards were listed while they paid"
