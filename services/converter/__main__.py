"""python -m services.converter: wiring only. Settings come from the environment (docs/settings.md)."""

from aiokafka import TopicPartition

from schemas.topics import CONVERTED, DEAD_LETTERS, typed_copy
from services.converter.encoders import registered
from services.converter.processor import ConverterProcessor, Copied
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.process import Environment, Service, main, run_processor
from services.errors import SettingsError
from services.formats.schema_registry import SchemaRegistry
from services.observability import logs
from services.observability.metrics import Metrics
from services.settings.converter import ConverterSettings, OutputSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.schema_registry import SchemaRegistrySettings


async def start() -> None:
    """Register the schemas, then copy until asked to stop."""
    kafka, topics, converter = load(KafkaSettings), load(TopicSettings), load(ConverterSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": converter.group, "http_port": converter.http_port})
    form = load(OutputSettings).format
    if form == "json":
        raise SettingsError(
            "ASSAY_OUTPUT_FORMAT is json, in which scores, alerts and decisions are already: set it to avro or protobuf."
        )
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    letters, prefix = DeadLetterWriter(privacy_key(runtime)), topics.topic_prefix
    registry = SchemaRegistry(load(SchemaRegistrySettings), f"ASSAY_OUTPUT_FORMAT={form}")
    copied: dict[str, Copied] = {}
    for topic in CONVERTED:
        copy = typed_copy(topic, form).full_name(prefix)
        copied[topic.full_name(prefix)] = Copied(topic, copy, await registered(registry, topic, form, f"{copy}-value"))

    def make_processor(partition: TopicPartition) -> ConverterProcessor:
        return ConverterProcessor(partition, copied, letters, prefix, metrics)

    outputs = [*(typed_copy(topic, form) for topic in CONVERTED), DEAD_LETTERS]
    await run_processor(Service(CONVERTED, outputs, make_processor), Environment(kafka, topics, runtime, metrics))


if __name__ == "__main__":
    main(start)
