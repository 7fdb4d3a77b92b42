"""python -m services.scorer: wiring only. Settings come from the environment (docs/settings.md)."""

from collections.abc import Awaitable, Callable

import structlog
from aiokafka import TopicPartition

from models.bundle.files import BundleError
from models.features.fold import warm
from models.features.history import FeatureStateError
from models.sources.spec_file import scorer_input
from schemas.topics import CONTROL, CONTROL_ANSWERS, LISTS, SCORER_OUTPUTS, TERMINAL_PROFILES, Topic
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.duplicates import warm as warm_duplicates
from services.engine.origin import Origins
from services.engine.process import Environment, Service, main, run_processor
from services.engine.tables import ConditionalTable, FollowedTable
from services.errors import AssayError
from services.kafka.batch_writer import warm as warm_batches
from services.kafka.topics_admin import describe_topics, read_retention, read_unbounded_stamps, short_retention
from services.observability import logs
from services.observability.metrics import Metrics
from services.policy_commands import PolicyLoader
from services.privacy.subject_keys import subject_keys
from services.scorer.emit import Emitter
from services.scorer.lists import ListTable
from services.scorer.policies import ScorerPolicies
from services.scorer.processor import Limits, ScoringProcessor
from services.scorer.profiles import ProfileTable
from services.scorer.score_texts import warm as warm_texts
from services.scorer.scored import Shares
from services.settings.bundles import BundleSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.policy import PolicySettings
from services.settings.privacy import SubjectSettings
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.signed_entries import entry_guard
from services.swapping.live import Models
from services.swapping.loader import Loader
from services.swapping.policies import policy_beside
from services.swapping.swap import Swapper
from services.swapping.watch import Bands
from services.trusted_bundles import warn_unsigned
from services.trusted_commands import command_guard

log = structlog.get_logger(__name__)


async def start() -> None:
    """Read settings, load the model, work `transactions` until asked to stop."""
    kafka, topics, runtime = load(KafkaSettings), load(TopicSettings), load(RuntimeSettings)
    scorer, bundles = load(ScorerSettings), load(BundleSettings)
    metrics = Metrics()
    logs.configure(runtime, metrics)
    if runtime.privacy_key is None:
        log.warning(
            "privacy.ephemeral_key", next_step="set ASSAY_PRIVACY_KEY, so that hashes in dead letters stay comparable"
        )
    warn_unsigned(bundles, metrics)
    loader = Loader(scorer, bundles, metrics)
    model = loader.first()
    warm(model.feature_spec)
    warm_duplicates()
    warm_batches()
    warm_texts()
    source = scorer_input(model.source, model.feature_spec)
    await _check_log(kafka, topics, source, model.feature_spec.history_ms)
    limits = Limits.of(runtime, scorer)
    shares = Shares(scorer.decision_share, scorer.control_share)
    letters = DeadLetterWriter(privacy_key(runtime), Origins.of([source], topics.topic_prefix))
    subjects = subject_keys(load(SubjectSettings))
    metrics.sealed.set(subjects is not None)
    if subjects is not None:
        log.info("privacy.decisions_sealed", key_id=subjects.master_id)
    bands = Bands(scorer.swap_watch_records, scorer.swap_alert_ratio_max, scorer.swap_latency_ratio_max)
    models = Models(model, bands, metrics, runtime.group)
    policy_loader = PolicyLoader(load(PolicySettings), bundles, lambda signed: policy_beside(signed, models.champion))
    models.policy, models.shadow_policy = policy_loader.first()
    models.show_policies()
    profiles, lists = ProfileTable(metrics), ListTable(metrics, entry_guard())

    emitter = Emitter(topics.topic_prefix, shares, letters, subjects, model.source, lists.persons)

    def make_processor(partition: TopicPartition) -> ScoringProcessor:
        known = profiles if models.champion.feature_spec.profiled else None
        try:
            return ScoringProcessor(partition, models, limits, emitter, metrics, known, lists)
        except FeatureStateError as error:
            raise AssayError(f"{error} The setting is ASSAY_CARDS_MAX.") from None

    def profiled() -> bool:
        return models.champion.feature_spec.profiled

    table = FollowedTable(TERMINAL_PROFILES, kafka, topics.topic_prefix, profiles.apply, metrics)
    followed = ConditionalTable(table, profiled)
    list_table, follow_lists = _following_lists(kafka, topics, models, lists, metrics)
    guard = command_guard(bundles, policy_loader.settings, scorer)
    policies = ScorerPolicies(models, policy_loader, metrics, follow_lists, guard)
    swapper = Swapper(models, loader, runtime.group, metrics, followed.follow, policies, guard)
    swapper.follow(
        FollowedTable(CONTROL_ANSWERS, kafka, topics.topic_prefix, swapper.take_answers, metrics),
        FollowedTable(CONTROL, kafka, topics.topic_prefix, swapper.take, metrics),
    )
    reads = (CONTROL, CONTROL_ANSWERS, TERMINAL_PROFILES, *([LISTS] if models.asks_lists else []))
    service = Service([source], SCORER_OUTPUTS, make_processor, [swapper, followed, list_table], reads)
    await run_processor(service, Environment(kafka, topics, runtime, metrics))


def _following_lists(
    kafka: KafkaSettings, topics: TopicSettings, models: Models, lists: ListTable, metrics: Metrics
) -> tuple[ConditionalTable, Callable[[], Awaitable[None]]]:
    """The lists' table, and what follows it once a policy asks them."""
    followed = FollowedTable(LISTS, kafka, topics.topic_prefix, lists.apply, metrics)
    table = ConditionalTable(followed, lambda: models.asks_lists)

    async def follow() -> None:
        (state,) = await describe_topics(kafka, topics, [LISTS])
        if not state.partitions:  # an installation of an earlier version
            raise BundleError(
                f"It asks lists, and there is no topic {state.name}: run `assay topics create`.", "failed"
            )
        await table.follow()

    return table, follow


async def _check_log(kafka: KafkaSettings, topics: TopicSettings, source: Topic, needed_ms: int) -> None:
    """Its timestamps should be bounded, and it must reach back as far as features look, for a restart without a snapshot."""
    if unbounded := await read_unbounded_stamps(kafka, topics, source):
        log.warning("timestamps.unbounded", next_step=unbounded)
    retention = await read_retention(kafka, topics, source)
    if retention is None:
        log.info("retention.unknown", next_step="let us describe the topic's configuration to have it checked")
    elif short := short_retention(source.full_name(topics.topic_prefix), retention, needed_ms):
        log.warning("retention.short", next_step=short)


if __name__ == "__main__":
    main(start)
