"""Scorer and monitor on the real broker: a policy's budget moves its thresholds, and all of it is in the log."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from models.bundle.keys import PrivateKey
from models.policy.signed import ref_of, signed, write_policy
from schemas import codec
from schemas.budget import Budget, BudgetState, ProbabilityBounds
from schemas.control import Control, MovedThresholds, command_key
from schemas.policy import Policy, PolicyThresholds
from schemas.topics import CONTROL, CONTROL_ANSWERS, MONITOR_BUDGETS, SCORING_METRICS
from tests.services.harness import WAIT_S_MAX, Scorer, Stream, payment
from tests.services.monitor.test_stream import until
from tests.services.scorer.test_policy import assay, read_back

POLICY = Policy(
    name="fraud",
    version=1,
    thresholds=PolicyThresholds(probability=0.5),
    budget=Budget(per_day=20.0, time_zone="UTC", probability=ProbabilityBounds(lowest=0.05, highest=0.999999)),
)
CHUNK = 360
"""Six hours of payments, one a minute."""

AMOUNTS = np.round(np.random.default_rng(3).lognormal(3.5, 1.3, 8 * CHUNK), 2).tolist()


async def send(stream: Stream, number: int) -> None:
    """The next six hours."""
    payments = [payment(i, amount=AMOUNTS[i]) for i in range(number * CHUNK, (number + 1) * CHUNK)]
    await stream.send([json.dumps(p).encode() for p in payments], [p["card_id"].encode() for p in payments])


async def commands(stream: Stream) -> list[Control]:
    """What moved the thresholds, in order."""
    found = [codec.read(Control, record.value) for record in await stream.read(CONTROL.name) if record.value]
    return [command for command in found if command.channel == "thresholds"]


async def taken_in(stream: Stream, monitor: Scorer, scored: int) -> None:
    """Wait until so many scores are in sums, each once, and the monitor knows all of these."""
    deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
    while True:
        sums = await stream.read(SCORING_METRICS.name)
        states = [codec.read(BudgetState, record.value) for record in await stream.read(MONITOR_BUDGETS.name)]
        counted = sum(json.loads(record.value)["scored"] for record in sums)
        assert counted <= scored
        if counted == scored and states and states[-1].offset >= sums[-1].offset:
            return
        assert monitor.returncode is None, monitor.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, (counted, scored, states[-1:])
        await asyncio.sleep(0.3)


async def obeyed(stream: Stream, scorer: Scorer) -> None:
    """Wait until the scorer has put its thresholds where the last command says."""
    found = await commands(stream)
    if found:
        wanted = f"{found[-1].thresholds}"
        await until(scorer, lambda: f'"thresholds": {json.dumps(wanted)}' in scorer.log())


@pytest.mark.slow
async def test_a_budget_moves_thresholds_and_a_replay_finds_each_of_them(
    stream: Stream,
    key: PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Through kills of both: each score names the thresholds that it was judged by, each partition when they began."""
    write_policy(tmp_path / "fraud-1.policy", signed(POLICY, key))
    monkeypatch.setenv("ASSAY_POLICY", str(tmp_path / "fraud-1.policy"))
    settings = {"ASSAY_POLICY": str(tmp_path / "fraud-1.policy"), "ASSAY_DECISION_SHARE": "1.0"}
    scorer, monitor = stream.scorer(**settings), stream.service("services.monitor")
    for number in range(6):
        if number == 3:
            scorer.kill()
            monitor.kill()
            scorer, monitor = stream.scorer(**settings), stream.service("services.monitor")
        await send(stream, number)
        await stream.caught_up([scorer])
        await taken_in(stream, monitor, (number + 1) * CHUNK)
        await obeyed(stream, scorer)
    assert scorer.terminate() == 0

    scores = [json.loads(record.value) for record in await stream.read("scores")]
    named = {tuple(score["thresholds"]) for score in scores}
    assert len(named) > 1
    assert all(POLICY.budget.holds(MovedThresholds(probability=one)) for one, _ in named)  # type: ignore[union-attr]
    for score in scores:  # judged as models give them, in float32
        probability, percentile = map(np.float32, score["thresholds"])
        above = score["probability"] >= probability or score["anomaly_percentile"] >= percentile
        assert score["alert"] == above, score
    moved = {command.thresholds.probability for command in await commands(stream) if command.thresholds}
    assert {one for one, _ in named} <= moved | {0.5}
    answers = [codec.read(Control, record.value) for record in await stream.read(CONTROL_ANSWERS.name)]
    of_thresholds = [answer for answer in answers if answer.channel == "thresholds"]
    assert {answer.outcome for answer in of_thresholds} == {"in_force"}
    assert {answer.source_partition for answer in of_thresholds} == set(range(4))
    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "verify")
    assert (status, found["misjudged"], found["unruled"], found["scores"]) == (0, 0, 0, 6 * CHUNK), found
    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "replay")
    assert (status, found["compared"], found["differing"]) == (0, 6 * CHUNK, 0), found
    tight = POLICY.model_copy(
        update={"budget": POLICY.budget.model_copy(update={"probability": ProbabilityBounds(lowest=0.1, highest=0.2)})}  # type: ignore[union-attr]
    )
    assert (await stream.verdict(lambda name: tight)).misjudged > 0, "thresholds beyond the bounds that are signed"
    status, found = await asyncio.to_thread(assay, stream, monkeypatch, capsys, "policy", "budget")
    assert (status, found["policy"], found["per_day"]) == (0, "fraud/1", 20.0)
    assert sum(day["used"] for day in found["days"]) == sum(score["alert"] for score in scores)
    assert found["thresholds"]["probability"] in moved
    assert monitor.terminate() == 0


async def test_thresholds_beyond_the_signed_bounds_are_refused_and_those_of_another_policy_wait(
    stream: Stream, key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write `control` can move thresholds within the bounds and no further."""
    write_policy(tmp_path / "fraud-1.policy", signed(POLICY, key))
    scorer = stream.scorer(ASSAY_POLICY=str(tmp_path / "fraud-1.policy"))
    name = command_key(stream.group, "thresholds")
    own, other = ref_of(POLICY), ref_of(POLICY.model_copy(update={"version": 2}))
    for number, (ref, probability) in enumerate(((other, 0.9), (own, 0.01), (own, 0.7))):
        command = Control(
            kind="command",
            group=stream.group,
            channel="thresholds",
            command_id=f"c{number}",
            at_ms=1,
            by="a test",
            bundle=ref,
            thresholds=MovedThresholds(probability=probability),
        )
        await stream.send([codec.write(command)], [name], CONTROL.name)
        if number == 1:
            await asyncio.to_thread(scorer.wait_for_log, "policy.thresholds_refused")
    await asyncio.to_thread(scorer.wait_for_log, "policy.thresholds_moved")
    await send(stream, 0)
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    scores = [json.loads(record.value) for record in await stream.read("scores")]
    assert {score["thresholds"][0] for score in scores} == {0.7}
