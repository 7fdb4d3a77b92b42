"""python -m services.cases: wiring only. Settings come from the environment (docs/settings.md)."""

from services.cases.service import case_service
from services.runtime import logs
from services.runtime.metrics import Metrics
from services.runtime.process import Environment
from services.runtime.settings import KafkaSettings, RuntimeSettings, TopicSettings, load
from services.runtime.side_settings import CasesSettings
from services.side.run import main, run_side


async def start() -> None:
    """Read settings, make cases of alerts until told to stop."""
    kafka, topics, cases = load(KafkaSettings), load(TopicSettings), load(CasesSettings)
    runtime = load(RuntimeSettings).model_copy(update={"group": cases.group, "http_port": cases.http_port})
    metrics = Metrics(by_topic=True)
    logs.configure(runtime, metrics)
    environment = Environment(kafka, topics, runtime, metrics)
    await run_side(case_service(cases, environment), environment)


if __name__ == "__main__":
    main(start)
