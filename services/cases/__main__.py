"""python -m services.cases: wiring only. Settings come from the environment (docs/settings.md)."""

from services.cases.service import case_service
from services.engine.process import Environment
from services.faust_runtime.run import main, run_side
from services.observability import logs
from services.observability.metrics import Metrics
from services.settings.cases import CasesSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings


async def start() -> None:
    """Read settings, make cases of alerts until asked to stop."""
    kafka, topics, cases = load(KafkaSettings), load(TopicSettings), load(CasesSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": cases.group, "http_port": cases.http_port})
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    environment = Environment(kafka, topics, runtime, metrics)
    await run_side(case_service(cases, environment), environment)


if __name__ == "__main__":
    main(start)
