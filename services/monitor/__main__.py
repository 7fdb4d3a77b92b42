"""python -m services.monitor: wiring only. Settings come from the environment (docs/settings.md)."""

from services.monitor.service import monitor_service
from services.runtime import logs
from services.runtime.metrics import Metrics
from services.runtime.process import Environment
from services.runtime.settings import KafkaSettings, RuntimeSettings, TopicSettings, load
from services.runtime.side_settings import MonitorSettings
from services.side.run import main, run_side


async def start() -> None:
    """Read settings, watch models until told to stop."""
    kafka, topics, monitor = load(KafkaSettings), load(TopicSettings), load(MonitorSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": monitor.group, "http_port": monitor.http_port})
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    environment = Environment(kafka, topics, runtime, metrics)
    await run_side(monitor_service(monitor, environment), environment)


if __name__ == "__main__":
    main(start)
