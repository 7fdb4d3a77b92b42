"""python -m services.intake: wiring only. Settings come from the environment (docs/settings.md)."""

import structlog
from aiokafka import TopicPartition

from models.bundle.files import BundleError
from models.compiled import check_compiler
from models.sources.spec_file import load_source, users_topic
from schemas.source_spec import SourceSpec
from schemas.topics import EVENTS, INTAKE_OUTPUTS
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.process import Environment, Service, main, run_processor
from services.errors import AssayError
from services.formats import open_reader
from services.intake.processor import IntakeProcessor
from services.intake.route import Router
from services.kafka.topics_admin import describe_topics
from services.observability import logs
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.intake import IntakeSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.schema_registry import SchemaRegistrySettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import advice, scoring_bundle

log = structlog.get_logger(__name__)


async def start() -> None:
    """Read settings and the source spec, work the user's topic until asked to stop."""
    kafka, topics, intake = load(KafkaSettings), load(TopicSettings), load(IntakeSettings)
    scorer = load(ScorerSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": intake.group, "http_port": intake.http_port})
    spec = _source(intake, scorer)
    source = users_topic(spec)
    if (full_name := source.full_name(topics.topic_prefix)) == EVENTS.full_name(topics.topic_prefix):
        raise AssayError(
            f"The source spec's topic is {full_name}, to which intake writes: give your own topic another name."
        )
    metrics = Metrics()
    logs.configure(runtime, metrics)
    check_compiler()
    log.info("source.loaded", topic=full_name, digest=spec.digest())
    letters, prefix = DeadLetterWriter(privacy_key(runtime)), topics.topic_prefix
    (events,) = await describe_topics(kafka, topics, [EVENTS])
    router = Router(prefix, spec, max(1, events.partitions))  # where there is none, the start says so
    reader = open_reader(spec, load(SchemaRegistrySettings), runtime.message_bytes_max)
    scan_ids = scorer.card_numbers_refused_in == "ids"

    def make_processor(partition: TopicPartition) -> IntakeProcessor:
        return IntakeProcessor(partition, spec, reader, router, runtime, letters, metrics, scan_ids=scan_ids)

    service = Service([source], INTAKE_OUTPUTS, make_processor, waits_for=reader.waits_for)
    try:
        await run_processor(service, Environment(kafka, topics, runtime, metrics))
    finally:
        await reader.close()


def _source(intake: IntakeSettings, scorer: ScorerSettings) -> SourceSpec:
    """The spec of the setting, or of the bundle that scores. Raises AssayError."""
    spec: SourceSpec | None
    if intake.source is not None:
        spec, where = load_source(intake.source), str(intake.source)
    else:
        try:
            found = scoring_bundle(scorer, load(BundleSettings))
        except BundleError as error:
            raise AssayError(f"ASSAY_INTAKE_SOURCE names no source spec, and {error}{advice(error)}") from error
        spec, where = found.bundle.manifest.source, f"bundle {found.ref}"
    if spec is None or not spec.is_routed:
        raise AssayError(
            f"The source of {where} is read by the scorer directly, so nothing is to be routed: write `routed: true` into its "
            "source spec, or name another spec with ASSAY_INTAKE_SOURCE."
        )
    return spec


if __name__ == "__main__":
    main(start)
