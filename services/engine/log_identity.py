"""Which log a topic's name refers to: one deleted and created again is another, and our state and offsets do not fit it.

Kafka's topic id tells them apart. What a process has seen is kept here and asked again every second, before each snapshot, and
before the next commit whenever the client had to look for the topic's leaders again, as it must when the topic goes away.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from services.engine.snapshots import NO_LOG_ID
from services.engine.topic_ids import topic_ids
from services.errors import AssayError
from services.observability.metrics import Metrics

log = structlog.get_logger(__name__)


class AnotherLogError(AssayError):
    """Offsets or state that we have belong to a former log of the same name."""


class ReplacedError(AnotherLogError):
    """The log was replaced while we read it: nothing more may be committed under the old state."""


def way_on(topic: str, now_id: str) -> str:
    """How an operator accepts the new log."""
    if now_id == NO_LOG_ID:
        return (
            "To score it from its first record with an empty state, delete the group's offsets for the topic with "
            "kafka-consumer-groups --delete-offsets and its folders of snapshots, then start again."
        )
    return (
        "To score it from its first record with an empty state, start again with ASSAY_ACCEPTED_LOGS="
        f"{now_id} (docs/runbooks.md, Another log)."
    )


def sentence(topic: str, group: str, was: str, now_id: str) -> str:
    """The sentence that a topic is another log, with the next step. was: the evidence."""
    return (
        f"{topic} is another log of this name than the one that group {group} worked ({was}). {way_on(topic, now_id)}"
    )


class LogIdentities:
    """The input topics of a process, as it first saw them."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[Mapping[str, str]]],
        partitions: Mapping[str, int],
        group: str,
        metrics: Metrics,
        timeout_s: float,
    ) -> None:
        """ask: the topics' ids today, without those that have none. partitions: how many each topic has, by name."""
        self._began_with, self._partitions = partitions, dict(partitions)
        self._ask, self._group, self._metrics, self._timeout_s = ask, group, metrics, timeout_s
        self._first_seen: dict[str, str] = {}
        self._replaced: dict[str, str] = {}
        self._doubts = self._settled = 0
        for topic in partitions:  # at 0 from the start: an alert on what is not there yet would miss its first rise
            metrics.replaced.labels(topic)
            metrics.partitions_added.labels(topic)

    def doubt(self, *_: Any) -> None:
        """The client looks for leaders again: until the next check it is unknown whether the topic is still the same."""
        self._doubts += 1

    @property
    def doubtful(self) -> bool:
        """Whether something happened since the last check that also happens when a topic is deleted."""
        return self._doubts != self._settled

    def why_not_ready(self) -> list[str]:
        """One sentence for each topic that was replaced."""
        return list(self._replaced.values())

    def look(self, topic: str) -> None:
        """Raise ReplacedError where the topic is known to be replaced."""
        if topic in self._replaced:
            raise ReplacedError(self._replaced[topic])

    def added(self, source: TopicPartition) -> bool:
        """Whether the partition is newer than this process: whatever is in it came while the group was at work."""
        return bool(source.partition >= self._began_with.get(source.topic, 1 << 31))

    def partitions(self, topic: str) -> int:
        """How many a topic was last seen to have."""
        return self._partitions[topic]

    def count(self, topic: str, partitions: int) -> None:
        """Take in the present number of partitions. Where it grew, cards have moved to partitions without their histories."""
        before = self._partitions.get(topic, partitions)
        if partitions > before:
            self._partitions[topic] = partitions
            self._metrics.partitions_added.labels(topic).set(partitions - self._began_with[topic])
            log.warning(
                "topic.partitions_added",
                topic=topic,
                before=before,
                partitions=partitions,
                next_step="most cards' next payments lie on another partition, where their history starts empty: "
                "docs/runbooks.md, Partitions added",
            )

    async def check(self, topic: str | None = None) -> None:
        """Ask the brokers. Raises KafkaError or TimeoutError, and for `topic` ReplacedError or that it is gone."""
        doubts = self._doubts
        ids = await asyncio.wait_for(self._ask(), self._timeout_s)
        for name, now_id in ids.items():
            known = self._first_seen.setdefault(name, now_id)
            if now_id != known and name not in self._replaced:
                self._replaced[name] = sentence(name, self._group, f"its topic id was {known}, and is {now_id}", now_id)
                self._metrics.replaced.labels(name).set(1)
                log.error("log.replaced", topic=name, next_step=way_on(name, now_id))
        if topic is not None:
            self.look(topic)
            if topic not in ids and topic in self._first_seen:
                raise UnknownTopicOrPartitionError(topic)
        self._settled = doubts

    async def current(self, topic: str) -> str:
        """The id of the topic's log, which is the one first seen; NO_LOG_ID where brokers have none. Raises as `check`."""
        await self.check(topic)
        return self._first_seen.get(topic, NO_LOG_ID)


def identities(
    consumer: Any, partitions: Mapping[str, int], group: str, metrics: Metrics, timeout_s: float
) -> LogIdentities:
    """Of the topics of a started consumer, whose client is listened to."""
    client = consumer._client
    found = LogIdentities(lambda: topic_ids(client, list(partitions)), partitions, group, metrics, timeout_s)
    update = client.force_metadata_update

    def watched() -> Any:
        found.doubt()
        return update()

    client.force_metadata_update = watched
    return found
