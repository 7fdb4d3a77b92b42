"""`make side-kills KILLS=100`: kills the monitor with -9 again and again, and counts the successors that stand still.

On a real broker. Labels come in all the time, so there is always a table to read back and a record that waits. The last line is
JSON.
"""

import asyncio
import contextlib
import json
import random
import re
import statistics
import tempfile
import time
import uuid
from dataclasses import dataclass, field
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
from tests.services.harness import BASE_TIME_MS, SESSION, Scorer, Stream

PROGRESS_TIMEOUT_S = 10.0
BURST_RECORDS = 1500
BURST_TRANSACTIONS = 20
BURST_INTERVAL_S = 3.0
UP_S_MAX = 4.0
"""A process lives for so long at most once it is ready, so that kills fall into every phase of its work."""

SLOWEST_SHOWN = 3

MODULE, MODEL = "services.monitor", "fraud/1@cpu"


@dataclass
class Takeover:
    """How a successor went on, in seconds since its start; None: it did not come to that.

    started_s: imports done, topics and rights checked. running_s: Faust runs. ready_s: /readyz says yes. working_s: the first
    record is taken in. payments: in its ledger then, which it has read back.
    """

    started_s: float | None = None
    running_s: float | None = None
    ready_s: float | None = None
    working_s: float | None = None
    payments: int = 0

    def words(self) -> str:
        """In the order in which it happens."""
        named = {
            "started": self.started_s,
            "running": self.running_s,
            "ready": self.ready_s,
            "first record": self.working_s,
        }
        steps = [f"{name} {seconds:.1f} s" for name, seconds in named.items() if seconds is not None]
        return f"{', '.join(steps) or 'nothing seen'}; {self.payments:,} payments in its ledger"


@dataclass
class Outcome:
    """What came of the kills. takeovers: of those that took in a record."""

    kills: int = 0
    stalls: int = 0
    restarts: int = 0
    takeovers: list[Takeover] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def slowest(self) -> list[Takeover]:
        """The slowest first."""
        return sorted(self.takeovers, key=lambda takeover: -(takeover.working_s or 0.0))

    def summary(self) -> dict[str, object]:
        """For a machine."""
        times = [takeover.working_s or 0.0 for takeover in self.slowest] or [0.0]
        return {
            "kills": self.kills,
            "stalls": self.stalls,
            "restarts": self.restarts,
            "takeover_s_median": round(statistics.median(times), 1),
            "takeover_s_max": round(times[0], 1),
        }

    def line(self, of: int) -> str:
        """For a person who waits."""
        found = self.summary()
        return (
            f"{self.kills} of {of} kills, {self.stalls} successors stood still, first record after "
            f"{found['takeover_s_median']} s (median), {found['takeover_s_max']} s (longest)"
        )

    def verdict(self) -> list[str]:
        """Whether every successor made progress, and where the slowest ones spent their time."""
        bad = f"BAD: {self.stalls} of {self.kills} successors stood still, {self.restarts} of them until they ended."
        return [
            *self.stuck,
            *(f"slow: {takeover.words()}" for takeover in self.slowest[:SLOWEST_SHOWN]),
            bad if self.stalls else f"good: {self.kills} kills, no successor stood still.",
        ]


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


async def _working(process: Scorer) -> Takeover:
    """Wait until it takes in evidence, or ends."""
    found, begun_s = Takeover(), time.monotonic()
    while process.returncode is None and found.working_s is None:
        log, now_s = process.log(), time.monotonic() - begun_s
        if found.started_s is None and "process.started" in log:
            found.started_s = now_s
        if found.running_s is None and "app.running" in log:
            found.running_s = now_s
        if process.ready():
            found.ready_s = found.ready_s or now_s
            with contextlib.suppress(OSError):  # it may end between the two
                found.payments = int(process.metric("assay_ledger_payments"))
            found.working_s = now_s if found.payments else None
        await asyncio.sleep(0.1)
    return found


async def kill_again_and_again(stream: Stream, kills: int, draw: random.Random, outcome: Outcome, total: int) -> None:
    """One lane: a monitor after the other on the same topics."""
    load = asyncio.create_task(_load(stream))
    try:
        settings = {"ASSAY_PROGRESS_TIMEOUT_S": str(PROGRESS_TIMEOUT_S), "ASSAY_MONITOR_QUALITY_INTERVAL_S": "5"}
        for _ in range(kills):
            process = stream.service(MODULE, **settings)
            takeover, log = await _working(process), process.log()
            if takeover.working_s is not None:
                outcome.takeovers.append(takeover)
            if "app.stuck" in log or takeover.working_s is None:
                outcome.stalls += 1
                outcome.restarts += takeover.working_s is None
                outcome.stuck += re.findall(r".*app\.stuck.*|.*ERROR.*", log)[:1] or [log[-500:]]
            await asyncio.sleep(draw.uniform(0.0, UP_S_MAX))
            process.kill()
            outcome.kills += 1
            if outcome.kills % 10 == 0:
                print(outcome.line(total), flush=True)
            assert not load.done(), load.exception()
    finally:
        load.cancel()


async def run(kills: int, lanes: int, seed: int, directory: Path) -> Outcome:
    """`kills` on so many groups at once, on one broker."""
    outcome = Outcome()
    with EmbeddedKafka() as kafka:
        streams = [
            Stream(kafka.bootstrap, f"k-{uuid.uuid4().hex[:8]}.", directory / str(lane), environment=dict(SESSION))
            for lane in range(lanes)
        ]
        try:
            for stream in streams:
                stream.directory.mkdir()
                await stream.create()
            shares = [kills // lanes + (lane < kills % lanes) for lane in range(lanes)]
            draws = [random.Random(f"{seed}-{lane}") for lane in range(lanes)]
            await asyncio.gather(
                *(
                    kill_again_and_again(stream, share, draw, outcome, kills)
                    for stream, share, draw in zip(streams, shares, draws, strict=True)
                )
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
    for line in outcome.verdict():
        print(line)
    print(json.dumps({"seed": seed, **outcome.summary()}))
    raise typer.Exit(bool(outcome.stalls))


if __name__ == "__main__":
    typer.run(main)
