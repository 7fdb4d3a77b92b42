"""`make chaos MINUTES=20 SEED=7`, or `python -m tests.chaos`: a run of the fault suite. Its last line is JSON."""

import asyncio
import json
import logging
import random
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer

from services.broker import EmbeddedKafka
from tests.chaos.driver import Say, run
from tests.chaos.stages import KINDS, StagesOutcome, run_stages
from tests.services.harness import Stream


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long faults come.")] = 3.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Chooses the faults. Default: a random one.")] = None,
    rate: Annotated[float, typer.Option(min=1.0, help="Payments a second.")] = 1000.0,
    logs: Annotated[Path | None, typer.Option(help="Keep all logs and the snapshots here.")] = None,
    environment: Annotated[
        str, typer.Option(help="More settings of the services: ASSAY_TRANSACTIONS=process,ASSAY_PROFILE=latency.")
    ] = "",
) -> None:
    """Break a running system for a while, then check that nothing is lost, repeated, inconsistent or different.

    The seed is printed first; the same seed brings the same faults at the same moments. Exits with 1 on any damage.
    Example: python -m tests.chaos --minutes 20 --seed 7
    """
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    begun_s = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun_s:7.1f}] {text}", file=sys.stderr, flush=True)

    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # our own clients meet the same faults, and say so at length
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="assay-chaos-") as temporary:
        directory = logs or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        more = dict(pair.split("=", 1) for pair in filter(None, environment.split(",")))
        outcome = asyncio.run(run(seed, minutes * 60, rate, say, directory, more))
        stages = asyncio.run(_stages(seed, minutes, say, directory, more))
    for line in outcome.damage() + stages.damage():
        print(line)
    good = outcome.good and stages.good
    print(json.dumps({**outcome.as_dict(), **stages.as_dict(), "good": good}), flush=True)
    raise typer.Exit(not good)


async def _stages(seed: int, minutes: float, say: Say, directory: Path, more: dict[str, str]) -> StagesOutcome:
    """The faults of the stages of entities, behind the others, on a broker of their own."""
    rounds = max(len(KINDS), round(2 * minutes))
    say(f"{rounds} faults of the stages of entities")
    with EmbeddedKafka(heap_mb=512) as kafka:
        stream = Stream(kafka.bootstrap, f"chaos-{uuid.uuid4().hex[:8]}.", directory, environment=more)
        await stream.create()
        try:
            return await run_stages(stream, seed, rounds, directory)
        finally:
            stream.close()


if __name__ == "__main__":
    typer.run(main)
