"""A real processor for tests without Kafka: the default bundle, one thread, few cards."""

import functools

from schemas.privacy import PrivacyKey
from services.engine.dead_letters import DeadLetterWriter
from services.engine.duplicates import WindowLimits
from services.observability.metrics import Metrics
from services.scorer.emit import Emitter
from services.scorer.processor import Limits, ScoringProcessor
from services.scorer.scored import Shares
from services.settings.bundles import BundleSettings
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.swapping.live import Model, Models
from services.swapping.loader import Loader
from services.swapping.watch import Bands
from tests.services.engine.fakes import SOURCE
from tests.services.harness import ROOT


@functools.cache
def model() -> Model:
    """The default bundle."""
    settings = ScorerSettings(bundle=ROOT / "deploy/bundles/fraud", device="cpu")
    trusted = BundleSettings(bundle_public_keys=str(ROOT / "deploy/keys/demo.pub"))  # whatever the environment names
    return Loader(settings, trusted, Metrics()).first()


def processor(*, cards_max: int, duplicates: WindowLimits) -> ScoringProcessor:
    """A fresh one, that forgets cards and ids early."""
    limits = Limits(
        message_bytes_max=RuntimeSettings().message_bytes_max,
        event_ahead_ms_max=int(RuntimeSettings().event_ahead_s_max * 1000),
        duplicates=duplicates,
        cards_max=cards_max,
    )
    metrics, letters = Metrics(), DeadLetterWriter(PrivacyKey("test", b"k"))
    models = Models(model(), Bands(1, 2.0, 2.0), metrics, "test")
    return ScoringProcessor(
        SOURCE, models, limits, Emitter("", Shares(decisions=0.0, control=0.0), letters), metrics, None
    )
