"""The stages of entities computed again from the log, as the environment's settings have them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.entities.replayed import StagesComparison
    from services.verification.read import Progress


async def stages_replayed(progress: "Progress") -> "StagesComparison":
    """What each stage would send on, beside what it sent. Raises AssayError."""
    from services.cli.offline.replay import reading
    from services.entities.__main__ import scoring_chain
    from services.entities.replayed import replay_stages
    from services.scorer.processor import Limits
    from services.settings.entities import EntitiesSettings
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.settings.scorer import ScorerSettings

    kafka, topics, entities = load(KafkaSettings), load(TopicSettings), load(EntitiesSettings)
    scorer = load(ScorerSettings)
    chain, _ = scoring_chain(scorer, topics.topic_prefix, entities.ids_max)
    limits = Limits.of(load(RuntimeSettings), scorer)
    async with reading(kafka) as consumer:
        return await replay_stages(consumer, kafka, topics, entities.group, chain, limits, progress)
