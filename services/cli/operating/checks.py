"""The doctor's checks. Each gives a finding, or the sentence that says what to do."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiokafka.errors import KafkaError
from pydantic_settings import BaseSettings

from models.bundle.files import BundleError
from models.bundle.load import Bundle
from models.scoring.devices import DeviceError, create_session
from models.sources.spec_file import topic_of, users_topic
from schemas.feature_spec import FeatureSpec
from schemas.topics import APPLICATIONS
from services.cli.operating.inputs import scoring_source
from services.cli.operating.keying import keys
from services.cli.operating.standing import former_logs, held_partitions, open_transactions
from services.cli.operating.topics import wanted_topics, with_users
from services.errors import AssayError
from services.formats.schema_registry import SchemaRegistry
from services.kafka.client import admin
from services.kafka.topics_admin import (
    HOUR_MS,
    describe_topics,
    partitions,
    read_retention,
    read_unbounded_stamps,
    short_retention,
)
from services.settings.bundles import BundleSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.names import check_names, settings_classes, take_renamed
from services.settings.processing import RuntimeSettings
from services.settings.schema_registry import SchemaRegistrySettings
from services.settings.scorer import ScorerSettings
from services.settings.secrets import shown_url
from services.trusted_bundles import Resolved, demo_fingerprint, scoring_bundle

ANSWER_S_MAX = 10.0
NO_BROKER = "name your brokers in ASSAY_KAFKA_BOOTSTRAP, or start one here with `assay broker start`"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. detail: what is there, or what to do."""

    name: str
    ok: bool
    detail: str


async def all_checks() -> list[Check]:
    """Every check, in the order in which to fix them. What needs something that failed is not tried."""
    checks: list[Check] = []
    wrong: set[type[BaseSettings]] = set()
    try:
        take_renamed(os.environ)
        check_names(os.environ)
    except AssayError as error:
        return [Check("settings", False, str(error))]
    for settings in settings_classes():
        try:
            load(settings)
        except AssayError as error:
            wrong.add(settings)
            checks.append(Check("settings", False, str(error)))
    if not wrong:
        checks.append(Check("settings", True, "every ASSAY_* variable is known and usable"))
    if KafkaSettings not in wrong:
        checks.append(await _checked("brokers", _brokers))
        if checks[-1].ok and TopicSettings not in wrong:
            checks.append(await _checked("topics", _topics))
            if checks[-1].ok:
                still = [
                    ("held partitions", held_partitions),
                    ("former logs", former_logs),
                    ("open transactions", open_transactions),
                    ("keys", keys),
                ]
                checks += [await _checked(name, find) for name, find in still]
    if SchemaRegistrySettings not in wrong and load(SchemaRegistrySettings).url is not None:
        checks.append(await _checked("schema registry", _schema_registry))
    if not {ScorerSettings, BundleSettings} & wrong:
        found, spec = _model(load(ScorerSettings))
        if spec is not None and any(check.name == "topics" and check.ok for check in checks):
            checks.append(await _checked("retention", lambda: _retention(spec.history_ms)))
            checks.append(await _checked("timestamps", _timestamps))
        checks += found
    if RuntimeSettings not in wrong:
        checks.append(_privacy(load(RuntimeSettings)))
    return checks


async def _checked(name: str, find: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(name, True, await asyncio.wait_for(find(), ANSWER_S_MAX))
    except AssayError as error:
        return Check(name, False, str(error))
    except (KafkaError, TimeoutError) as error:
        kafka = load(KafkaSettings)
        # no one has said where it is: a first look
        todo = "check ASSAY_KAFKA_*" if "bootstrap" in kafka.model_fields_set else NO_BROKER
        return Check(name, False, f"Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}): {todo}.")


async def _brokers() -> str:
    kafka = load(KafkaSettings)
    client = admin(kafka)
    try:
        await client.start()
        brokers = len((await client.describe_cluster())["brokers"])
    finally:
        await client.close()
    return f"{brokers} at {kafka.bootstrap}, {kafka.security_protocol}"


async def _topics() -> str:
    topics, source = load(TopicSettings), scoring_source()
    declared = with_users(wanted_topics(), source)
    states = await describe_topics(load(KafkaSettings), topics, declared)
    missing = [state.name for state in states if not state.partitions]
    if missing:
        command = "assay topics create" + ("" if source is None else " --source SPEC")
        raise AssayError(f"{', '.join(missing)} {'do' if missing[1:] else 'does'} not exist: run `{command}`.")
    for topic, state in zip(declared, states, strict=True):
        wanted = partitions(topic, topics)
        if topic.partitions != "any" and state.partitions != wanted:
            raise AssayError(
                f"{state.name} has {state.partitions} partitions, not {wanted}: set ASSAY_PARTITIONS={state.partitions}, or "
                "give all topics the input's number (`assay topics create --add-partitions`), so that a card's records stay "
                "in order."
            )
    return f"{len(states)}, with {topics.partitions} partitions"


async def _schema_registry() -> str:
    settings = load(SchemaRegistrySettings)
    await SchemaRegistry(settings, "the doctor").check()
    return f"answers at {', '.join(shown_url(url.strip()) for url in (settings.url or '').split(','))}"


async def _retention(needed_ms: int) -> str:
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    source = topic_of(scoring_source())
    retention = await read_retention(kafka, topics, source)
    if retention is None:
        return "not known: we may not describe the configuration of the input topic"
    if short := short_retention(source.full_name(topics.topic_prefix), retention, needed_ms):
        raise AssayError(short)
    return f"the input reaches back further than the features look ({needed_ms // HOUR_MS:,} h)"


async def _timestamps() -> str:
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    for topic in dict.fromkeys((topic_of(source := scoring_source()), users_topic(source), APPLICATIONS)):
        if unbounded := await read_unbounded_stamps(kafka, topics, topic):
            raise AssayError(unbounded)
    return "what producers may put on records of the inputs is bounded by the brokers' clocks"


def _model(scorer: ScorerSettings) -> tuple[list[Check], FeatureSpec | None]:
    """Findings, and the feature spec where there is one."""
    try:
        resolved = scoring_bundle(scorer, load(BundleSettings))
    except AssayError as error:
        return [Check("bundle", False, str(error))], None
    except BundleError as error:
        if error.reason in ("unsigned", "signature"):
            advice = "Sign it with `assay bundle sign`, and pin the signers' public keys with ASSAY_BUNDLE_PUBLIC_KEYS."
        else:
            advice = "Set ASSAY_BUNDLE, or promote one in the registry (ASSAY_REGISTRY_URL)."
        return [Check("bundle", False, f"{error} {advice}")], None
    found = Check("bundle", not resolved.refused, f"{resolved}, {_signer(resolved.bundle)}{_refused(resolved)}")
    spec = resolved.bundle.manifest.feature_spec
    try:
        _, provider = create_session(resolved.bundle.model, scorer.device)
    except DeviceError as error:
        return [found, Check("device", False, str(error))], spec
    return [found, Check("device", True, f"{provider} (ASSAY_DEVICE={scorer.device})")], spec


def _refused(resolved: Resolved) -> str:
    return "".join(f". {error} Publish and promote it again, or roll back." for _, error in resolved.refused)


def _signer(bundle: Bundle) -> str:
    if bundle.signed_by is None:
        return "signed by no one (ASSAY_ALLOW_UNSIGNED_BUNDLES)"
    if bundle.signed_by == demo_fingerprint():
        return "signed with the demo's key, which anyone may have: pin your own with ASSAY_BUNDLE_PUBLIC_KEYS"
    return f"signed with key {bundle.signed_by[:12]}"


def _privacy(runtime: RuntimeSettings) -> Check:
    if runtime.privacy_key is None:  # works without, so nothing fails
        advice = "none, so hashes in dead letters change at each start: set ASSAY_PRIVACY_KEY and ASSAY_PRIVACY_KEY_ID"
        return Check("privacy key", True, advice)
    return Check("privacy key", True, f"key {runtime.privacy_key_id}")
