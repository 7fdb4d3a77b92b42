"""A storm of alerts through a real worker: each is written and counted, the reasons go to the most severe."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.privacy import PrivacyKey
from schemas.topics import ALERTS, DECISIONS
from services.engine.dead_letters import DeadLetterWriter
from services.engine.duplicates import WindowLimits
from services.observability.metrics import Metrics
from services.scorer.emit import Emitter
from services.scorer.processor import Limits, ScoringProcessor
from services.scorer.scored import Shares
from services.swapping.live import Models
from services.swapping.watch import Bands
from tests.services.engine.fakes import SOURCE, CrashError, FakeKafka, worker
from tests.services.engine.model import model
from tests.services.harness import payment

RECORDS, LIMIT = 240, 5
AMOUNTS = np.random.default_rng(3).choice([900.0, 2500.0, 25.0], RECORDS).tolist()


def storm() -> FakeKafka:
    """Large payments of few cards, within two minutes of the log."""
    kafka = FakeKafka()
    for i, amount in enumerate(AMOUNTS):
        made = payment(i, card=f"card-{i % 3}", amount=amount)
        kafka.append(json.dumps(made).encode(), stamp=3_700_000_000_000 + (60_000 if i >= RECORDS // 2 else 0))
    return kafka


def limited(metrics: Metrics, limit: int) -> Callable[[], ScoringProcessor]:
    """Processors with this bound."""
    limits = Limits(65_536, 86_400_000, WindowLimits(RECORDS), 100, reasons_per_minute_max=limit)
    emitter = Emitter("", Shares(decisions=0.0, control=0.0), DeadLetterWriter(PrivacyKey("test", b"k")))
    models = Models(model(), Bands(1, 2.0, 2.0), metrics, "test")
    return lambda: ScoringProcessor(SOURCE, models, limits, emitter, metrics, None)


async def run(kafka: FakeKafka, folder: Path, limit: int, records_max: int) -> Metrics:
    """Processes one after the other, until one drains."""
    metrics = Metrics()
    while True:
        with contextlib.suppress(CrashError):
            await worker(kafka, limited(metrics, limit), folder, batch_records_max=records_max).run()
            return metrics


def said(kafka: FakeKafka, topic: str) -> dict[str, dict[str, Any]]:
    """The records of a topic, by payment."""
    found = [json.loads(value) for name, _, value in kafka.outputs if name == topic]
    return {one["transaction_id"]: one for one in found}


async def test_in_a_storm_every_alert_is_written_and_only_the_most_severe_are_given_reasons(tmp_path: Path) -> None:
    """What is left out is said on alert and decision, and counted; the rest has the reasons that it would have had."""
    calm, kafka = storm(), storm()
    await run(calm, tmp_path / "calm", 10_000, 50)
    metrics = await run(kafka, tmp_path / "storm", LIMIT, 50)
    before, after = said(calm, ALERTS.name), said(kafka, ALERTS.name)
    assert before.keys() == after.keys()
    assert len(after) > 8 * LIMIT, "a storm"
    without = {name for name, alert in after.items() if alert.get("reasons_left_out")}
    assert all(after[name]["reasons"] == [] for name in without)
    assert all(after[name] == before[name] for name in after.keys() - without)
    assert 2 * LIMIT <= len(after) - len(without) <= 4 * LIMIT
    decisions = said(kafka, DECISIONS.name)
    assert {name for name, decision in decisions.items() if decision.get("reasons_left_out")} == without
    assert metrics.registry.get_sample_value("assay_alerts_without_reasons_total", {"partition": "0"}) == len(without)


@pytest.mark.parametrize("records_max", [1, 7, 240])
async def test_the_same_alerts_are_given_reasons_whatever_the_batches_and_wherever_a_process_ends(
    tmp_path: Path, records_max: int
) -> None:
    """The window goes with the committed offset."""
    whole, cut = storm(), storm()
    await run(whole, tmp_path / "whole", LIMIT, 50)
    cut.fates = ["crash_after_commit" if n % 3 == 2 else "crash" if n % 5 == 4 else "commit" for n in range(40)]
    await run(cut, tmp_path / "cut", LIMIT, records_max)
    assert said(cut, ALERTS.name) == said(whole, ALERTS.name)
