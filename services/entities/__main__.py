"""python -m services.entities: wiring only. Settings come from the environment (docs/settings.md)."""

import structlog
from aiokafka import TopicPartition

from models.bundle.files import BundleError
from models.features.entities import derived
from models.features.fold import warm
from models.sources.routed import in_log
from models.sources.spec_file import topic_of
from schemas.topics import ENTITIES_OUTPUTS, ENTITY_EVENTS, LABELS, Topic
from services.engine.batches import Processor
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.duplicates import warm as warm_duplicates
from services.engine.origin import Origins
from services.engine.process import Environment, Service, main, run_processor
from services.entities.chain import Chain
from services.entities.labels import by_entity
from services.entities.routing import RoutingProcessor
from services.entities.stage import StageProcessor
from services.errors import AssayError
from services.observability import logs
from services.observability.metrics import Metrics
from services.profiler.labels import LabelLimits, LabelProcessor
from services.scorer.processor import Limits
from services.settings.bundles import BundleSettings
from services.settings.entities import EntitiesSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import advice, check_product, scoring_bundle

log = structlog.get_logger(__name__)


async def start(*, only_stages: bool = False) -> None:
    """Read settings and the bundle's feature spec, work source, labels and `entity-events` until asked to stop.

    only_stages: leave source and labels alone, so that what is on its way arrives and nothing follows it.
    """
    kafka, topics, entities = load(KafkaSettings), load(TopicSettings), load(EntitiesSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": entities.group, "http_port": entities.http_port})
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    scorer = load(ScorerSettings)
    limits = Limits.of(runtime, scorer)
    chain, source = scoring_chain(scorer, topics.topic_prefix, entities.ids_max)
    letters = DeadLetterWriter(privacy_key(runtime), Origins.of([source, ENTITY_EVENTS], topics.topic_prefix))
    log.info("kernels.compiling")
    for name in chain.stages:
        warm(derived(chain.spec, name))
    warm_duplicates()
    frauds_max = load(ProfilerSettings).frauds_max if chain.spec.labelled else 0
    counted = by_entity(topics.topic_prefix, chain)
    of_labels = LabelLimits(limits.message_bytes_max, limits.times, frauds_max, limits.scan_ids)

    def make_processor(partition: TopicPartition) -> Processor:
        parts = partition, topics.topic_prefix, chain, limits
        if partition.topic == topics.topic_prefix + LABELS.name:
            return LabelProcessor(partition, topics.topic_prefix, counted, of_labels, letters, metrics)
        is_stage = partition.topic == topics.topic_prefix + ENTITY_EVENTS.name
        made = StageProcessor if is_stage else RoutingProcessor
        return made(*parts, letters, metrics)

    before = [source, *([LABELS] if chain.spec.labelled else [])]
    sources = [ENTITY_EVENTS] if only_stages else [*before, ENTITY_EVENTS]
    service = Service(sources, ENTITIES_OUTPUTS, make_processor)
    await run_processor(service, Environment(kafka, topics, runtime, metrics))


def scoring_chain(scorer: ScorerSettings, prefix: str, ids_max: int) -> tuple[Chain, Topic]:
    """Of the bundle that scores, and the topic of its events. Raises AssayError where it reads no entity."""
    try:
        found = scoring_bundle(scorer, load(BundleSettings))
        check_product(found.bundle, "fraud")
    except BundleError as error:
        raise AssayError(f"{error}{advice(error)}") from error
    manifest = found.bundle.manifest
    if not manifest.feature_spec.stages:
        raise AssayError(
            f"Bundle {found} reads no entity, so there is nothing to do: declare entities in its feature spec, or do not start "
            "`assay entities`."
        )
    routed = manifest.source is not None and manifest.source.is_routed
    chain = Chain(manifest.feature_spec, in_log(manifest.source), prefix, ids_max, routed=routed)
    return chain, topic_of(manifest.source)


if __name__ == "__main__":
    main(start)
