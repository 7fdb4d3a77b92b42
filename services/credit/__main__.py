"""python -m services.credit: wiring only. Settings come from the environment (docs/settings.md)."""

import structlog
from aiokafka import TopicPartition

from schemas.topics import (
    APPLICATIONS,
    CREDIT_CONTROL,
    CREDIT_CONTROL_ANSWERS,
    CREDIT_OUTPUTS,
)
from services.commanding import CREDIT
from services.credit.processor import CreditProcessor
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.duplicates import warm
from services.engine.process import Environment, Service, main, run_processor
from services.engine.tables import FollowedTable
from services.kafka.topics_admin import read_unbounded_stamps
from services.observability import logs
from services.observability.metrics import Metrics
from services.policy_commands import PolicyLoader, PolicySwapper
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.policy import CreditPolicySettings
from services.settings.processing import RuntimeSettings
from services.swapping.live import Models
from services.swapping.loader import Loader
from services.swapping.policies import policy_beside
from services.swapping.swap import Swapper
from services.swapping.watch import Bands
from services.trusted_bundles import warn_unsigned
from services.trusted_commands import command_guard

log = structlog.get_logger(__name__)


async def start() -> None:
    """Read settings, load the bundle, work `applications` until asked to stop."""
    kafka, topics, credit = load(KafkaSettings), load(TopicSettings), load(CreditSettings)
    runtime = load(RuntimeSettings)
    runtime = runtime.model_copy(
        update={
            "group": credit.group,
            "http_port": credit.http_port,
            "batch_records_max": min(credit.batch_records_max, runtime.batch_records_max),
        }
    )
    metrics = Metrics()
    logs.configure(runtime, metrics)
    bundles = load(BundleSettings)
    warn_unsigned(bundles, metrics)
    loader = Loader(credit, bundles, metrics)
    model = loader.first()
    if not model.session.bundle.reference.of_everyone:
        log.warning(
            "drift.not_compared",
            bundle=str(model.bundle),
            next_step="train it with this version: its reference is of those approved who repaid, not of all who applied",
        )
    warm()
    bands = Bands(credit.swap_watch_records, credit.swap_alert_ratio_max, credit.swap_latency_ratio_max)
    models = Models(model, bands, metrics, runtime.group, "credit")
    policy_loader = PolicyLoader(
        load(CreditPolicySettings), bundles, lambda signed: policy_beside(signed, models.champion)
    )
    models.policy, models.shadow_policy = policy_loader.first()
    models.show_policies()
    letters = DeadLetterWriter(privacy_key(runtime))
    guard = command_guard(bundles, policy_loader.settings, credit)
    policies = PolicySwapper(models, policy_loader, metrics, guard)
    swapper = Swapper(models, loader, runtime.group, metrics, _no_profiles, policies, guard, CREDIT)
    swapper.follow(
        FollowedTable(CREDIT_CONTROL_ANSWERS, kafka, topics.topic_prefix, swapper.take_answers, metrics),
        FollowedTable(CREDIT_CONTROL, kafka, topics.topic_prefix, swapper.take, metrics),
    )

    def make_processor(source: TopicPartition) -> CreditProcessor:
        return CreditProcessor(source, topics.topic_prefix, models, runtime, letters, metrics)

    if unbounded := await read_unbounded_stamps(kafka, topics, APPLICATIONS):
        log.warning("timestamps.unbounded", next_step=unbounded)
    service = Service(
        [APPLICATIONS], CREDIT_OUTPUTS, make_processor, [swapper], (CREDIT_CONTROL, CREDIT_CONTROL_ANSWERS)
    )
    await run_processor(service, Environment(kafka, topics, runtime, metrics))


async def _no_profiles() -> None:
    """Applications have no terminals."""


if __name__ == "__main__":
    main(start)
