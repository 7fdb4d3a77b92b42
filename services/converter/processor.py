"""The converter's part of one partition: each message, under its key and headers, in another format. Without a state."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition

from schemas import codec
from schemas.topics import DEAD_LETTERS, Topic
from services.clock import monotonic_s
from services.converter.encoders import Encode
from services.engine.batches import Record, Result, Stateless, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, count_faults, parsed
from services.observability.metrics import Metrics

OUTPUT_BYTES_MAX = 16 << 20
"""No message of ours is larger; the brokers take less."""


class Copied:
    """One topic that is copied. copy: where to, with Assay's prefix."""

    def __init__(self, topic: Topic, copy: str, encode: Encode) -> None:
        self.copy, self._encode = copy, encode
        self._read: Any = codec.decoder(topic.schema)

    def converted(self, payload: bytes) -> bytes:
        """A message in the other format. Raises RejectedError's kinds for what is no message of the topic's."""
        return self._encode(msgspec.to_builtins(self._read(payload)))


class ConverterProcessor(Stateless):
    """One partition of one topic."""

    state_key = "converter-1"

    def __init__(
        self,
        source: TopicPartition,
        topics: Mapping[str, Copied],
        letters: DeadLetterWriter,
        prefix: str,
        metrics: Metrics,
    ) -> None:
        """topics: by name, with Assay's prefix."""
        self._copied = topics[source.topic]
        self._letters, self._letters_topic = letters, prefix + DEAD_LETTERS.name
        self._metrics, self._label = metrics, metrics.label(source)

    async def process(self, records: Sequence[Record]) -> Result:
        """A copy of each message; a record that is none of the topic's is a dead letter."""
        started_s = monotonic_s()
        copies, faults = Write(self._copied.copy), []
        for record in records:
            made = parsed(record, self._copied.converted, OUTPUT_BYTES_MAX)
            if isinstance(made, Fault):
                faults.append(made)
            else:
                copies.append(record.key, made, list(record.headers))
        self._metrics.observe_stage("emit", started_s)
        letters = self._letters.write(self._letters_topic, faults)
        return Result([copies, letters], len(records), len(faults), faults)

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        return self._letters.refusal(self._letters_topic, fault)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        self._metrics.records.labels(self._label).inc(result.records)
        self._metrics.batch.observe(float(result.records))
        count_faults(self._metrics, result.faults)
