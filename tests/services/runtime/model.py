"""A real processor for tests without Kafka: the default bundle, one thread, few cards."""

import functools
from concurrent.futures import ThreadPoolExecutor

from schemas.privacy import PrivacyKey
from services.runtime.dead_letters import DeadLetterWriter
from services.runtime.metrics import Metrics
from services.runtime.settings import RuntimeSettings, ScorerSettings
from services.scorer.emit import Emitter
from services.scorer.model import load_model
from services.scorer.processor import Limits, Model, ScoringProcessor
from tests.services.harness import ROOT
from tests.services.runtime.fakes import SOURCE


@functools.cache
def model() -> Model:
    """The default bundle."""
    loaded = load_model(ScorerSettings(bundle=ROOT / "deploy/bundles/fraud", device="cpu"), Metrics())
    return Model(loaded.session, loaded.identity, loaded.feature_spec, ThreadPoolExecutor(1))


def processor(*, cards_max: int, duplicate_window_records: int) -> ScoringProcessor:
    """A fresh one, that forgets cards and ids early."""
    limits = Limits(
        message_bytes_max=RuntimeSettings().message_bytes_max,
        event_ahead_ms_max=int(RuntimeSettings().event_ahead_s_max * 1000),
        duplicate_window_records=duplicate_window_records,
        cards_max=cards_max,
    )
    letters = DeadLetterWriter(PrivacyKey("test", b"k"))
    return ScoringProcessor(SOURCE, model(), limits, Emitter("", model().identity, 0.0, letters), Metrics(), None)
