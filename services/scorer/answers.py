"""The answers to those who wait for one, in the transaction of the scores. Other records cost one look at a batch's headers."""

import re
from collections.abc import Mapping, Sequence
from operator import attrgetter

import numpy as np

from schemas import codec
from schemas.answer import Answer
from schemas.score import Score
from schemas.topics import ANSWERS, DEAD_LETTERS, REQUEST_HEADER
from services.engine.batches import Headers, Record, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, headers_of
from services.engine.origin import Origins
from services.scorer.scored import Scored

REQUEST = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
"""As `schemas.answer.Request`. Whatever else is in the header asks for nothing."""

_headers = attrgetter("headers")


def requests(records: Sequence[Record]) -> dict[int, bytes]:
    """Which of them ask for an answer, by place: the request that each names. The first header of the name counts."""
    if not any(map(_headers, records)):  # nearly always so
        return {}
    found: dict[int, bytes] = {}
    for place, record in enumerate(records):
        value = next((value for name, value in record.headers if name == REQUEST_HEADER), None)
        if value and REQUEST.fullmatch(value):
            found[place] = value
    return found


class AnswerWriter:
    """Encodes answers."""

    def __init__(self, prefix: str, origins: Origins) -> None:
        """origins: of the input."""
        self._origins, self._topic = origins, prefix + ANSWERS.name
        self._answer: type[Answer] = codec.record_type(Answer)

    def decided(
        self, asked: Mapping[int, bytes], batch: Scored, scores: Sequence[Score], headers: Sequence[Headers]
    ) -> Write:
        """To events that are scored. scores, headers: as they are written to `scores`, one a row of the batch."""
        write, alert = Write(self._topic), batch.outcomes.alert
        for row, request in asked.items():
            at = self._origins.event(batch.records[row])
            answer = self._answer(
                request=request.decode(),
                source_topic=at.topic,
                source_partition=at.partition,
                source_offset=at.offset,
                score=scores[row],
                triggers=batch.outcomes.triggers(row) if alert[row] else (),
                reasons=tuple(map(codec.record_of, batch.reasons.get(row, ()))),
                bundle_digest=batch.identity.bundle_digest,
            )
            key = scores[row].transaction_id.encode()
            write.append(key, codec.encode(answer), [*headers[row], (REQUEST_HEADER, request)])
        return write

    def refused(self, asked: Mapping[int, bytes], faults: Sequence[Fault]) -> Write:
        """To events that became dead letters, on the partition of each event's own record."""
        write, origins = Write(self._topic), []
        for place, request in asked.items():
            fault = faults[place]
            at = self._origins.event(fault.record)
            origins.append(at.partition)
            answer = self._answer(
                request=request.decode(),
                source_topic=at.topic,
                source_partition=at.partition,
                source_offset=at.offset,
                refused=fault.reason,
                detail=fault.detail,
            )
            answers_to = headers_of(fault.record, self._origins)
            write.append(None, codec.encode(answer), [*answers_to, (REQUEST_HEADER, request)])
        write.places = lambda number: np.array(origins, np.int64) % number
        return write


def refusals(prefix: str, letters: DeadLetterWriter, answers: AnswerWriter, faults: Sequence[Fault]) -> list[Write]:
    """Dead letters, in the order of the faults, and answers to those of them who wait for one."""
    written = letters.write(prefix + DEAD_LETTERS.name, faults)
    asked = requests([fault.record for fault in faults])
    return [written, answers.refused(asked, faults)] if asked else [written]
