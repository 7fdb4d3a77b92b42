"""python -m services.monitor: wiring only. Settings come from the environment (docs/settings.md)."""

from services.engine.process import Environment
from services.faust_runtime.run import main, run_side
from services.monitor.service import monitor_service
from services.observability import logs
from services.observability.metrics import Metrics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.monitor import MonitorSettings
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings


async def start() -> None:
    """Read settings, watch models until asked to stop."""
    kafka, topics, monitor = load(KafkaSettings), load(TopicSettings), load(MonitorSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": monitor.group, "http_port": monitor.http_port})
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    environment = Environment(kafka, topics, runtime, metrics)
    scan_ids = load(ScorerSettings).card_numbers_refused_in == "ids"
    await run_side(monitor_service(monitor, environment, scan_ids=scan_ids), environment)


if __name__ == "__main__":
    main(start)
