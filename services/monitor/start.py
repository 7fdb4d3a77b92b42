"""Wiring of a monitor, of payments or of applications."""

from services.engine.process import Environment
from services.faust_runtime.run import run_side
from services.monitor.service import monitor_service
from services.monitor.watched import Watched
from services.observability import logs
from services.observability.metrics import Metrics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.monitor import MonitorSettings
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings


async def run_monitor(settings: type[MonitorSettings], watched: Watched) -> None:
    """Read settings, watch models until asked to stop."""
    kafka, topics, monitor = load(KafkaSettings), load(TopicSettings), load(settings)
    runtime = load(RuntimeSettings).model_copy(update={"group": monitor.group, "http_port": monitor.http_port})
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    environment = Environment(kafka, topics, runtime, metrics)
    scan_ids = load(ScorerSettings).card_numbers_refused_in == "ids"
    await run_side(monitor_service(monitor, environment, watched, scan_ids=scan_ids), environment)
