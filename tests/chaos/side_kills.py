"""`make side-kills KILLS=100`: kills the monitor with -9 again and again, and counts the successors that stand still.

On a real broker. Labels come in all the time, so there is always a table to read back and a record that waits. The last line is
JSON.
"""

import asyncio
import json
import random
import re
import statistics
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from schemas import codec
from schemas.label import Label
from schemas.metric import ScoringMetric
from schemas.reference import SCORE_BINS
from schemas.topics import DECISIONS, LABELS, SCORING_METRICS
from services.broker import EmbeddedKafka
from services.kafka.client import transactional_producer
from services.monitor.evidence import RecordedDecision
from services.settings.processing import RuntimeSettings
from tests.services.harness import BASE_TIME_MS, Scorer, Stream

PROGRESS_TIMEOUT_S = 10.0
BURST_RECORDS = 1500
BURST_TRANSACTIONS = 20
BURST_INTERVAL_S = 3.0
UP_S_MAX = 4.0
"""A process lives for so long at most once it is ready, so that kills fall into every phase of its work."""

MODULE, MODEL = "services.monitor", "fraud/1@cpu"


@dataclass
class Outcome:
    """What came of the kills. takeover_s: from the start of a successor to its first record, one a kill."""

    kills: int = 0
    stalls: int = 0
    restarts: int = 0
    takeover_s: list[float] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """For a person, and for a machine."""
        times = sorted(self.takeover_s) or [0.0]
        counts = {name: value for name, value in asdict(self).items() if isinstance(value, int)}
        return {
            **counts,
            "takeover_s_median": round(statistics.median(times), 1),
            "takeover_s_max": round(times[-1], 1),
        }


def _records(number: int) -> tuple[bytes, bytes]:
    """A decision, and the label of the same payment."""
    transaction_id, time_ms = f"tx-{number:09d}", BASE_TIME_MS + number
    label = Label(
        transaction_id=transaction_id,
        verdict="fraud",
        source="chargeback",
        labelled_at_ms=time_ms,
        event_time_ms=time_ms,
    )
    decision = RecordedDecision(
        transaction_id=transaction_id, event_time_ms=time_ms, probability=0.9, alert=True, model=MODEL
    )
    return codec.write(decision), codec.write(label)


def _sums(number: int) -> bytes:
    """Sums of a second of scores."""
    counted = {"records": 100, "scored": 100, "alerts": 1, "dead_letters": 0, "late": 0}
    bins = (5,) * SCORE_BINS
    return codec.write(
        ScoringMetric(
            source_topic="transactions",
            source_partition=number % 4,
            first_offset=number * 100,
            last_offset=number * 100 + 99,
            until_ms=BASE_TIME_MS + number * 1000,
            model=MODEL,
            amount_sum=1.0,
            alert_amount_sum=1.0,
            probability_histogram=bins,
            anomaly_percentile_histogram=bins,
            clock_ms=BASE_TIME_MS + number * 1000,
            **counted,
        )
    )


async def _load(stream: Stream) -> None:
    """As scorers and people write: decisions and sums in small transactions, labels in bursts, so that a kill meets a backlog
    as often as it meets a quiet moment."""
    producer = transactional_producer(stream.kafka, RuntimeSettings(), f"{stream.prefix}load")
    await producer.start()
    number, prefix = 0, stream.prefix
    try:
        while True:
            burst = BURST_RECORDS if number % 2 == 0 else 10
            labels = []
            for transaction in range(BURST_TRANSACTIONS):
                await producer.begin_transaction()
                sent = []
                for n in range(burst // BURST_TRANSACTIONS):
                    key = b"tx-%04d%02d%03d" % (number % 10_000, transaction, n)
                    decision, label = _records(int(key[3:]))
                    labels.append((label, key))
                    sent.append(await producer.send(prefix + DECISIONS.name, decision, key=key))
                sent.append(await producer.send(prefix + SCORING_METRICS.name, _sums(number), partition=0))
                await asyncio.gather(*sent)
                await producer.commit_transaction()
            await stream.send([label for label, _ in labels], [key for _, key in labels], LABELS.name)
            number += 1
            await asyncio.sleep(BURST_INTERVAL_S)
    finally:
        await producer.stop()


async def _working(process: Scorer) -> bool:
    """Wait until it takes in evidence. False where it ended, or stood still, before."""
    while process.returncode is None:
        if process.ready() and process.metric("assay_ledger_payments") > 0:
            return True
        await asyncio.sleep(0.1)
    return False


async def kill_again_and_again(stream: Stream, kills: int, draw: random.Random, outcome: Outcome) -> None:
    """One lane: a monitor after the other on the same topics."""
    load = asyncio.create_task(_load(stream))
    try:
        settings = {"ASSAY_PROGRESS_TIMEOUT_S": str(PROGRESS_TIMEOUT_S), "ASSAY_MONITOR_QUALITY_INTERVAL_S": "5"}
        for _ in range(kills + 1):
            begun_s = time.monotonic()
            process = stream.service(MODULE, **settings)
            working = await _working(process)
            outcome.takeover_s.append(time.monotonic() - begun_s)
            log = process.log()
            if "app.stuck" in log or not working:
                outcome.stalls += 1
                outcome.restarts += not working
                outcome.stuck += re.findall(r".*app\.stuck.*|.*ERROR.*", log)[:1] or [log[-500:]]
            await asyncio.sleep(draw.uniform(0.0, UP_S_MAX))
            process.kill()
            outcome.kills += 1
            if outcome.kills % 10 == 0:
                print(json.dumps(outcome.summary()), flush=True)
            assert not load.done(), load.exception()
    finally:
        load.cancel()


async def run(kills: int, lanes: int, seed: int, directory: Path) -> Outcome:
    """`kills` on so many groups at once, on one broker."""
    outcome = Outcome()
    with EmbeddedKafka() as kafka:
        streams = [
            Stream(kafka.bootstrap, f"k-{uuid.uuid4().hex[:8]}.", directory / str(lane)) for lane in range(lanes)
        ]
        try:
            for stream in streams:
                stream.directory.mkdir()
                await stream.create()
            each = -(-kills // lanes)
            draws = [random.Random(f"{seed}-{lane}") for lane in range(lanes)]
            await asyncio.gather(
                *(kill_again_and_again(s, each, d, outcome) for s, d in zip(streams, draws, strict=True))
            )
        finally:
            for stream in streams:
                stream.close()
    return outcome


def main(
    kills: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    lanes: Annotated[int, typer.Option(min=1, help="Groups at once.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="When kills fall.")] = 1,
    logs: Annotated[Path | None, typer.Option(help="Keep the processes' logs here.")] = None,
) -> None:
    """Kill monitors. Exits with 1 where a successor stood still.

    Example: python -m tests.chaos.side_kills --kills 100
    """
    with tempfile.TemporaryDirectory() as directory:
        outcome = asyncio.run(run(kills, lanes, seed, logs or Path(directory)))
    for line in outcome.stuck:
        print(line)
    print(json.dumps({"seed": seed, **outcome.summary()}))
    raise typer.Exit(bool(outcome.stalls))


if __name__ == "__main__":
    typer.run(main)
