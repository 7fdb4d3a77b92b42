"""The last fault of a run: the input topic is deleted and made again under running scorers.

They say so and score nothing of the new log, killed or not, until a person accepts it; then it is scored from its first record,
with the bits of a replay, and none of the former log's outputs is taken for one of its own.
"""

import asyncio
import signal
import time
from collections.abc import Callable

from services.verification.verify import verify
from tests.chaos.bits import bits
from tests.chaos.system import SCORERS, System
from tests.services.harness import WAIT_S_MAX, Scorer

PAYMENTS = 3000


async def recreated(system: System, say: Callable[[str], None]) -> list[str]:
    """What went wrong: nothing, as a rule. Called once every scorer has ended."""
    stream = system.stream
    system.live = []
    for _ in range(SCORERS):
        system.start_scorer()
    await system.all_ready()
    say("the input topic is deleted and made again")
    log_id = await stream.make_again()
    await stream.send(system.load.payments(PAYMENTS))
    silent = [scorer for scorer in system.live if not await _says(scorer, log_id)]
    if silent:
        return [f"the new log is not named: {scorer.log()[-2000:]}" for scorer in silent]
    for scorer, how in zip(system.live, (signal.SIGKILL, signal.SIGTERM), strict=True):
        if scorer.returncode is None:
            scorer.signal(how)
        await asyncio.to_thread(scorer.wait)
    system.live, system.accepted_log = [], log_id
    for _ in range(SCORERS):
        system.start_scorer()
    try:
        await stream.caught_up(system.live)
    except AssertionError as error:
        return [f"the accepted log is not scored: {error}"]
    await asyncio.to_thread(system.end)
    say(f"{PAYMENTS:,} payments of the new log scored; checking")
    verdict = await verify(stream.kafka, stream.topics, stream.group)
    compared, differing, examples = await bits(stream, system.versions.paths)
    wrong = [f"new log, {kind}: {position}" for kind, at in verdict.examples.items() for position in at]
    if differing or (verdict.inputs, verdict.scores, compared) != (PAYMENTS, PAYMENTS, PAYMENTS):
        wrong.append(
            f"new log: {verdict.inputs} inputs, {verdict.scores} scores, {compared} compared, {differing} differ"
        )
    return wrong + (examples if differing else [])


async def _says(scorer: Scorer, log_id: str) -> bool:
    """Whether it names the new log: not ready, or ended with the sentence."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline_s:
        if scorer.returncode is not None:
            return log_id in scorer.log()
        status, why = await asyncio.to_thread(scorer.get, "/readyz")
        if status == 503 and log_id in why:
            return True
        await asyncio.sleep(0.2)
    return False
