"""python -m services.credit: wiring only. Settings come from the environment (docs/settings.md)."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog
from aiokafka import TopicPartition

from schemas.topics import APPLICATIONS, CREDIT_CONTROL, CREDIT_OUTPUTS
from services.credit.model import load_session
from services.credit.policies import CommandReader, Policies, program_beside
from services.credit.processor import CreditProcessor, Model
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.duplicates import warm
from services.engine.process import Environment, Service, main, run_processor
from services.engine.tables import FollowedTable
from services.kafka.topics_admin import read_unbounded_stamps
from services.observability import logs
from services.observability.metrics import Metrics
from services.policy_commands import PolicyLoader
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.policy import CreditPolicySettings
from services.settings.processing import RuntimeSettings
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
    session = load_session(credit)
    bundle, name = session.bundle, f"{session.bundle.manifest.name}/{session.bundle.manifest.version}"
    metrics.model.labels(name, session.provider).set(1)
    log.info("model.loaded", bundle=name, digest=bundle.digest, provider=session.provider)
    warm()
    model = Model(session, ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="model"))
    letters = DeadLetterWriter(privacy_key(runtime))
    loader = PolicyLoader(load(CreditPolicySettings), bundles, partial(program_beside, bundle=bundle))
    policies = Policies(metrics, *loader.first())
    guard = command_guard(bundles, loader.settings)
    commands = CommandReader(policies, loader, runtime.group, metrics, guard)
    commands.follow(FollowedTable(CREDIT_CONTROL, kafka, topics.topic_prefix, commands.take, metrics))

    def make_processor(source: TopicPartition) -> CreditProcessor:
        return CreditProcessor(source.partition, topics.topic_prefix, model, runtime, letters, metrics, policies)

    if unbounded := await read_unbounded_stamps(kafka, topics, APPLICATIONS):
        log.warning("timestamps.unbounded", next_step=unbounded)
    service = Service([APPLICATIONS], CREDIT_OUTPUTS, make_processor, [commands], (CREDIT_CONTROL,))
    await run_processor(service, Environment(kafka, topics, runtime, metrics))


if __name__ == "__main__":
    main(start)
