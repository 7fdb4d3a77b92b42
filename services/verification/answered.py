"""Whether each event that asked for an answer has one, which says what the log says of it. Pure: records in, verdict out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import codec
from schemas.base import Message
from schemas.dead_letter import DeadLetterReason
from schemas.topics import REQUEST_HEADER
from services.verification.read import Span
from services.verification.verdict import EXAMPLES_MAX, Verdict

REQUEST = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
ASKED, ANSWERED, REFUSED, DEAD = 1, 2, 4, 8

Flags = NDArray[np.uint8]
Digests = NDArray[np.uint32]


class _Refused(Message):
    """All that is decoded of an answer beside its score, which is compared as it is written."""

    refused: DeadLetterReason | None = None


class _Raw(msgspec.Struct):
    score: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_refused = codec.decoder(_Refused)
_raw = msgspec.json.Decoder(_Raw)


class Answers:
    """Of all input partitions. spans: of the input, by partition; what lies outside is not judged here."""

    def __init__(self, name: str, spans: Mapping[int, Span]) -> None:
        self._name, self._spans = name, spans
        self._flags: dict[int, Flags] = {n: np.zeros(_size(span), np.uint8) for n, span in spans.items()}
        self._scores: dict[int, Digests] = {n: np.zeros(_size(span), np.uint32) for n, span in spans.items()}
        self._answers: dict[int, Digests] = {n: np.zeros(_size(span), np.uint32) for n, span in spans.items()}
        self._verdict = Verdict()

    def add_inputs(self, number: int, records: Sequence[Any]) -> None:
        """Records of the input that are due an output: those of them that ask for an answer."""
        begin, flags = self._spans[number].begin, self._flags[number]
        for record in records:
            if record.headers and _asks(record.headers):
                flags[record.offset - begin] |= ASKED

    def add_scores(self, number: int, offsets: Sequence[int], records: Sequence[Any]) -> None:
        """Records of `scores`, and the input offsets that they name."""
        begin, digests = self._spans[number].begin, self._scores[number]
        for offset, record in zip(offsets, records, strict=True):
            if 0 <= offset - begin < len(digests):
                digests[offset - begin] = _digest(record.value)

    def add_dead_letters(self, number: int, offsets: Sequence[int]) -> None:
        """The input offsets that dead letters name."""
        begin, flags = self._spans[number].begin, self._flags[number]
        for offset in offsets:
            if 0 <= offset - begin < len(flags):
                flags[offset - begin] |= DEAD

    def add_answers(self, number: int, offsets: Sequence[int], records: Sequence[Any]) -> None:
        """Records of `answers`, and the input offsets that they name."""
        begin, flags = self._spans[number].begin, self._flags[number]
        for offset, record in zip(offsets, records, strict=True):
            at, where = offset - begin, f"{record.topic}-{record.partition}@{record.offset}"
            if not 0 <= at < len(flags):
                if at >= len(flags):
                    self._verdict.note("inconsistent", 1, f"{where}: an answer to an input that does not exist")
                continue
            if flags[at] & ANSWERED:
                self._verdict.note("duplicate", 1, f"{self._name}-{number}@{offset}: answer")
                continue
            self._verdict.answers += 1
            flags[at] |= ANSWERED
            try:
                refused, raw = _decode_refused(record.value or b"").refused, _raw.decode(record.value or b"").score
            except (codec.RejectedError, msgspec.MsgspecError) as error:
                self._verdict.note("inconsistent", 1, f"{where}: {error}")
                continue
            if refused is not None:
                flags[at] |= REFUSED
            elif raw is not msgspec.UNSET:
                self._answers[number][at] = _digest(bytes(raw))

    def judge(self, committed: Mapping[int, int], floors: Mapping[int, int]) -> Verdict:
        """The verdict on the inputs from `floors`, from where outputs and answers are still there, to `committed`."""
        for number, span in self._spans.items():
            low = min(max(floors.get(number, 0), span.begin), span.end) - span.begin
            high = min(max(committed.get(number, 0) - span.begin, low), _size(span))
            flags = self._flags[number][low:high]
            scores, answers = self._scores[number][low:high], self._answers[number][low:high]
            asked, answered = (flags & ASKED) != 0, (flags & ANSWERED) != 0
            refused, dead = (flags & REFUSED) != 0, (flags & DEAD) != 0
            first = span.begin + low
            self._note("missing", number, first, asked & ~answered, "asked for an answer, and has none")
            self._note("inconsistent", number, first, answered & ~asked, "an answer that no one asked for")
            said = answered & ~refused
            self._note(
                "inconsistent", number, first, said & (answers != scores), "answered with another score than its own"
            )
            self._note("inconsistent", number, first, answered & refused & ~dead, "refused, but it is no dead letter")
        return self._verdict

    def _note(self, damage: str, number: int, first: int, wrong: NDArray[np.bool_], what: str) -> None:
        offsets = np.flatnonzero(wrong)
        positions = (f"{self._name}-{number}@{first + offset}: {what}" for offset in offsets[:EXAMPLES_MAX].tolist())
        self._verdict.note(damage, len(offsets), *positions)


def _size(span: Span) -> int:
    return max(span.end - span.begin, 0)


def _asks(headers: Sequence[tuple[str, bytes]]) -> bool:
    """As the scorer takes it: the first header of the name counts, and what is no request asks for nothing."""
    value = next((value for name, value in headers if name == REQUEST_HEADER), None)
    return bool(value and REQUEST.fullmatch(value))


def _digest(value: bytes | None) -> int:
    """Never 0, which stands for none."""
    return crc32(value or b"") or 1
