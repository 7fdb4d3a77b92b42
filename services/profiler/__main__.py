"""python -m services.profiler: wiring only. Settings come from the environment (docs/settings.md)."""

from aiokafka import TopicPartition

from models.compiled import check_compiler
from schemas.topics import LABELS, PROFILER_OUTPUTS, TERMINAL_SUMS
from services.engine.batches import Processor
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.faults import TimeLimits
from services.engine.process import Environment, Service, main, run_processor
from services.observability import logs
from services.observability.metrics import Metrics
from services.profiler.labels import LabelLimits, LabelProcessor
from services.profiler.merge import MergeProcessor
from services.profiler.sums import by_terminal
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings
from services.settings.scorer import ScorerSettings


async def start() -> None:
    """Read settings, work `labels` and `terminal-sums` until asked to stop."""
    kafka, topics, profiler = load(KafkaSettings), load(TopicSettings), load(ProfilerSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": profiler.group, "http_port": profiler.http_port})
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    check_compiler()
    scorer = load(ScorerSettings)
    times = TimeLimits(runtime.event_ahead_ms_max, runtime.event_time_ms_min)
    scan_ids = scorer.card_numbers_refused_in == "ids"
    limits = LabelLimits(runtime.message_bytes_max, times, profiler.frauds_max, scan_ids)
    letters, prefix = DeadLetterWriter(privacy_key(runtime)), topics.topic_prefix

    def make_processor(source: TopicPartition) -> Processor:
        if source.topic == prefix + LABELS.name:
            return LabelProcessor(source, prefix, by_terminal(prefix), limits, letters, metrics)
        return MergeProcessor(source, prefix, runtime, letters, metrics, scorer.terminals_max)

    service = Service([LABELS, TERMINAL_SUMS], PROFILER_OUTPUTS, make_processor)
    await run_processor(service, Environment(kafka, topics, runtime, metrics))


if __name__ == "__main__":
    main(start)
