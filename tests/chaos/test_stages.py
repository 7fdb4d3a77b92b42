"""Runs of the faults of the stages of entities, with a seed that is always the same."""

import uuid
from pathlib import Path

import pytest

from tests.chaos.stages import KINDS, run_stages
from tests.services.harness import Stream

pytestmark = [pytest.mark.broker, pytest.mark.slow]
SEED = 20261129


@pytest.mark.parametrize("partitions", [4, 12])
async def test_kills_moves_and_rebalances_of_every_stage_change_no_bit(
    kafka_bootstrap: str, tmp_path: Path, partitions: int
) -> None:
    """Each kind of fault once; every hop, every score, and every feature as a file of the same payments has it."""
    stream = Stream(kafka_bootstrap, f"t-{uuid.uuid4().hex[:12]}.", tmp_path, partitions)
    await stream.create()
    try:
        outcome = await run_stages(stream, SEED, len(KINDS), tmp_path)
    finally:
        stream.close()
    assert outcome.good, (outcome.as_dict(), outcome.damage())
    assert outcome.done.total() == len(KINDS)
