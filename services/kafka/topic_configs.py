"""Existing topics beside what `schemas/topics.py` declares: what differs, and, when a person asks for it, altered.

What keeps more than we would is no difference: nothing here shortens a retention, and a cleanup policy, whose change deletes
records, is only shown. Altered one setting at a time (KIP-339), so that others are left alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

from schemas.topics import Topic
from services.kafka.client import admin, retry_transient
from services.kafka.one_version import OneVersion
from services.kafka.preflight import why_unreachable
from services.kafka.topics_admin import (
    OK,
    TopicError,
    configuration,
    describe_topics,
    wait_until_visible,
)
from services.settings.kafka import KafkaSettings, TopicSettings

AT_LEAST = {"retention.ms", "min.compaction.lag.ms", "min.insync.replicas"}
"""More than declared is as good; below 0 stands for no bound."""

SHOWN_ONLY = {"cleanup.policy", "replication"}
"""To change the one deletes records; the other is a reassignment of partitions."""

TOPIC_SOURCE = 1
SET = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of an existing topic. own: the topic itself has it, not a default of the brokers."""

    topic: str
    setting: str
    found: str
    wanted: str
    own: bool

    @property
    def alterable(self) -> bool:
        """Whether `alter` changes it."""
        return self.setting not in SHOWN_ONLY

    def __str__(self) -> str:
        return f"{self.setting} is {self.found}, declared {self.wanted}"


async def differences(kafka: KafkaSettings, topics: TopicSettings, names: Iterable[Topic]) -> list[Difference]:
    """What differs of those that exist, and whose configuration we may describe. Raises TopicError."""
    declared = {topic.full_name(topics.topic_prefix): topic for topic in names}
    states = [state for state in await describe_topics(kafka, topics, declared.values()) if state.partitions]
    resources = [ConfigResource(ConfigResourceType.TOPIC, state.name) for state in states]
    found: list[Difference] = []
    for answer in await _asked(kafka, lambda client: client.describe_configs(resources)) if resources else []:
        for code, _, _, name, entries in answer.resources:
            if code == OK:
                values = {entry[0]: (entry[1], _own(entry[3])) for entry in entries}
                found += _differing(name, configuration(declared[name], topics), values)
    found += [
        Difference(state.name, "replication", str(state.replication), str(topics.replication), own=True)
        for state in states
        if state.replication < topics.replication
    ]
    order = [state.name for state in states]
    return sorted(found, key=lambda difference: order.index(difference.topic))


async def alter(
    kafka: KafkaSettings, topics: TopicSettings, names: Sequence[Topic], wanted: Sequence[Difference]
) -> list[str]:
    """Set what is alterable to what is declared; the commands that lead back. Raises TopicError where the broker refuses."""
    chosen = [difference for difference in wanted if difference.alterable]
    if not chosen:
        return []
    answer = await _asked(kafka, lambda client: client._send_request(_incremental_alter_configs(chosen)))
    for code, message, _, name in answer.resources:
        if code != OK:
            detail = (message or for_code(code).__name__).rstrip(".")
            raise TopicError(f"The configuration of {name} could not be altered: {detail}.")
    altered = {(d.topic, d.setting) for d in chosen}

    async def shown() -> bool:
        return not altered & {(d.topic, d.setting) for d in await differences(kafka, topics, names)}

    await wait_until_visible(shown, "altered settings")
    return [_way_back(kafka, difference) for difference in chosen]


def _differing(name: str, declared: dict[str, str], found: dict[str, tuple[str, bool]]) -> list[Difference]:
    """Of one topic; settings that its brokers do not know are left out."""
    return [
        Difference(name, setting, found[setting][0], wanted, found[setting][1])
        for setting, wanted in declared.items()
        if setting in found and not _suffices(setting, found[setting][0], wanted)
    ]


def _suffices(setting: str, found: str, wanted: str) -> bool:
    if setting not in AT_LEAST or found == wanted:
        return found == wanted
    return int(found) < 0 or 0 <= int(wanted) <= int(found)


def _own(source: int | bool) -> bool:
    """Version 0 of the answer tells whether it is a default, later ones whose it is."""
    return not source if isinstance(source, bool) else source == TOPIC_SOURCE


def _way_back(kafka: KafkaSettings, difference: Difference) -> str:
    change = (
        f"--add-config {difference.setting}={difference.found}"
        if difference.own
        else f"--delete-config {difference.setting}"
    )
    return (
        f"kafka-configs.sh --bootstrap-server {kafka.bootstrap} --alter --entity-type topics "
        f"--entity-name {difference.topic} {change}"
    )


async def _asked(kafka: KafkaSettings, request: Any) -> Any:
    client: AIOKafkaAdminClient = admin(kafka)
    try:
        await client.start()
        return await retry_transient(lambda: request(client))
    except KafkaError as error:
        raise TopicError(await why_unreachable(kafka, error)) from None
    finally:
        await client.close()


class _AlterConfigsResponse(Response):  # type: ignore[misc]  # the library is untyped
    API_KEY, API_VERSION = 44, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _AlterConfigsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION = 44, 0
    RESPONSE_TYPE = _AlterConfigsResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


def _incremental_alter_configs(differences: Sequence[Difference]) -> OneVersion:
    names = dict.fromkeys(difference.topic for difference in differences)
    resources = [
        (int(ConfigResourceType.TOPIC), name, [(d.setting, SET, d.wanted) for d in differences if d.topic == name])
        for name in names
    ]
    return OneVersion(_AlterConfigsStruct(resources, False))
