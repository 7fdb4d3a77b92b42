"""python -m services.scorer: wiring only. Settings come from the environment (docs/settings.md)."""

import structlog
from aiokafka import TopicPartition

from models.features.fold import warm
from models.features.history import FeatureStateError
from schemas.topics import SCORER_OUTPUTS, TERMINAL_PROFILES, TRANSACTIONS
from services.runtime import logs
from services.runtime.dead_letters import DeadLetterWriter, privacy_key
from services.runtime.errors import AssayError
from services.runtime.metrics import Metrics
from services.runtime.process import Environment, Service, main, run_processor
from services.runtime.settings import KafkaSettings, RuntimeSettings, ScorerSettings, TopicSettings, load
from services.runtime.tables import FollowedTable
from services.runtime.topics_admin import read_retention, short_retention
from services.scorer.emit import Emitter, Shares
from services.scorer.model import load_model
from services.scorer.processor import Limits, ScoringProcessor
from services.scorer.profiles import ProfileTable

log = structlog.get_logger(__name__)


async def start() -> None:
    """Read settings, load the model, work `transactions` until told to stop."""
    kafka, topics, runtime, scorer = (
        load(KafkaSettings),
        load(TopicSettings),
        load(RuntimeSettings),
        load(ScorerSettings),
    )
    metrics = Metrics()
    logs.configure(runtime, metrics)
    if runtime.privacy_key is None:
        log.warning(
            "privacy.ephemeral_key", next_step="set ASSAY_PRIVACY_KEY, so that hashes in dead letters stay comparable"
        )
    model = load_model(scorer, metrics)
    warm(model.feature_spec)
    await _say_retention(kafka, topics, model.feature_spec.history_ms)
    limits = Limits.of(runtime, scorer)
    shares = Shares(scorer.decision_share, scorer.control_share)
    emitter = Emitter(topics.topic_prefix, model.identity, shares, DeadLetterWriter(privacy_key(runtime)))

    profiles = ProfileTable() if model.feature_spec.profiled else None

    def make_processor(source: TopicPartition) -> ScoringProcessor:
        try:
            return ScoringProcessor(source, model, limits, emitter, metrics, profiles)
        except FeatureStateError as error:
            raise AssayError(f"{error} The setting is ASSAY_CARDS_MAX.") from None

    tables = [FollowedTable(TERMINAL_PROFILES, kafka, topics.topic_prefix, profiles.apply, metrics)] if profiles else []
    service = Service([TRANSACTIONS], SCORER_OUTPUTS, make_processor, tables)
    await run_processor(service, Environment(kafka, topics, runtime, metrics))


async def _say_retention(kafka: KafkaSettings, topics: TopicSettings, needed_ms: int) -> None:
    """The log must reach back as far as the features look, for a restart without a snapshot."""
    retention = await read_retention(kafka, topics, TRANSACTIONS)
    if retention is None:
        log.info("retention.unknown", next_step="let us describe the topic's configuration to have it checked")
    elif short := short_retention(topics.topic_prefix + TRANSACTIONS.name, retention, needed_ms):
        log.warning("retention.short", next_step=short)


if __name__ == "__main__":
    main(start)
