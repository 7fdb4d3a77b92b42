"""Scores compared with a replay, bit for bit."""

from collections.abc import Sequence
from pathlib import Path

from models.bundle.load import load_bundle
from models.scoring.session import ModelSession
from services.engine.duplicates import WindowLimits
from services.kafka.client import reader
from services.replay.compare import Comparison
from services.replay.log import KafkaLog
from services.replay.replay import Period, replay
from services.scorer.processor import Limits
from services.settings.processing import RuntimeSettings
from tests.services.harness import Stream

CARDS_MAX = 10_000
"""As the harness sets it for its scorers."""


async def bits(stream: Stream, bundles: Sequence[Path]) -> tuple[int, int, list[str]]:
    """Scores compared with a replay under each bundle, those that differ in any bit or on one side only, examples."""
    whole = Comparison()
    limits = Limits(
        message_bytes_max=(defaults := RuntimeSettings()).message_bytes_max,
        event_ahead_ms_max=int(defaults.event_ahead_s_max * 1000),
        duplicates=WindowLimits.of(defaults),
        cards_max=CARDS_MAX,
    )
    consumer = reader(stream.kafka)
    await consumer.start()
    try:
        for path in bundles:
            log = KafkaLog(stream.kafka, stream.topics, stream.group, consumer)
            found = (await replay(log, ModelSession(load_bundle(path), "cpu"), limits, Period())).comparison
            whole.compared += found.compared
            whole.differing += found.differing + found.not_emitted + found.not_replayed
            whole.examples += found.examples
    finally:
        await consumer.stop()
    return whole.compared, whole.differing, whole.examples
