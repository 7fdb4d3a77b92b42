"""Counts the records whose subject belongs on another partition, and says so once."""

from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition

from services.observability.metrics import Metrics

if TYPE_CHECKING:
    from services.engine.placement import Subjects  # compiled code, which not every service needs

log = structlog.get_logger(__name__)

KEY_BY_ID = (
    "key each record by its card's (applicant's) id and use Kafka's default partitioner, murmur2 (librdkafka: "
    "partitioner=murmur2_random), see docs/runbooks.md, Records misplaced"
)


class KeyWatch:
    """Of one partition."""

    def __init__(self, source: TopicPartition, metrics: Metrics) -> None:
        self._source, self._metrics = source, metrics
        self._reported = False

    def look(self, subjects: "Subjects", partitions: int) -> None:
        """Count what is committed of a batch. partitions: how many the topic has."""
        misplaced = subjects.misplaced(self._source.partition, partitions)
        if not misplaced:
            return
        self._metrics.misplaced.labels(self._metrics.label(self._source)).inc(misplaced)
        if not self._reported:
            self._reported = True
            log.warning(
                "records.misplaced",
                topic=self._source.topic,
                partition=self._source.partition,
                records=misplaced,
                of=len(subjects.ids),
                partitions=partitions,
                next_step=KEY_BY_ID,
            )
