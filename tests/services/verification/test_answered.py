"""Answers against the log: each mistake that a writer of answers could make is found."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from schemas import codec
from schemas.topics import REQUEST_HEADER
from services.verification.answered import Answers
from services.verification.read import Span
from services.verification.verdict import Verdict

SPAN = Span(100, 104)
SCORE = b'{"transaction_id":"t","probability":0.5}'
REFUSED = b'{"request":"g:1","refused":"unscorable"}'
REQUEST = ((REQUEST_HEADER, b"g:1"),)


class Kept(NamedTuple):
    """A record as the reader has it."""

    offset: int
    value: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "answers"
    partition: int = 0


def answer(score: bytes) -> bytes:
    """As the scorer writes it."""
    return b'{"request":"g:1","score":' + score + b"}"


def judged(change: Callable[[Answers], Any] = lambda answers: None, committed: int = 104, floor: int = 0) -> Verdict:
    """Of one input that asks nothing, one that is answered, one that is refused, and one that is no request."""
    answers = Answers("transactions", {0: SPAN})
    headers = ((), REQUEST, REQUEST, ((REQUEST_HEADER, b"no request"),))
    answers.add_inputs(0, [Kept(100 + i, headers=found) for i, found in enumerate(headers)])
    answers.add_scores(0, [100, 101, 103], [Kept(0, SCORE), Kept(1, SCORE), Kept(2, SCORE)])
    answers.add_dead_letters(0, [102])
    answers.add_answers(0, [101, 102], [Kept(0, answer(SCORE)), Kept(1, REFUSED)])
    change(answers)
    return answers.judge({0: committed}, {0: floor})


def test_answers_that_say_what_the_log_says_are_clean() -> None:
    """One for each input that asked, none for the others."""
    verdict = judged()
    assert verdict.clean
    assert verdict.answers == 2


@pytest.mark.parametrize(
    ("damage", "change"),
    [
        ("duplicate", lambda answers: answers.add_answers(0, [101], [Kept(2, answer(SCORE))])),
        ("inconsistent", lambda answers: answers.add_scores(0, [101], [Kept(3, SCORE.replace(b"0.5", b"0.6"))])),
        ("inconsistent", lambda answers: answers.add_answers(0, [103], [Kept(2, answer(SCORE))])),
        ("inconsistent", lambda answers: answers.add_answers(0, [104], [Kept(2, answer(SCORE))])),
        ("missing", lambda answers: answers.add_inputs(0, [Kept(103, headers=REQUEST)])),
        ("inconsistent", lambda answers: answers.add_answers(0, [103], [Kept(2, b"{")])),
        ("inconsistent", lambda answers: answers.add_answers(0, [100], [Kept(2, REFUSED)])),
    ],
)
def test_each_mistake_is_named(damage: str, change: Callable[[Answers], Any]) -> None:
    """Twice, another score, unasked for, of no input, missing, unreadable, refused though scored."""
    verdict = judged(change)
    assert getattr(verdict, damage) >= 1
    assert not verdict.clean
    assert verdict.examples[damage]


def test_what_is_not_committed_or_was_deleted_is_not_judged() -> None:
    """The input that lacks its answer lies behind the committed offset, or before the first answer that is kept."""
    asks = lambda answers: answers.add_inputs(0, [Kept(103, headers=REQUEST)])  # noqa: E731
    assert judged(asks, committed=103).clean
    asks_first = lambda answers: answers.add_inputs(0, [Kept(100, headers=REQUEST)])  # noqa: E731
    assert judged(asks_first, floor=101).clean
    assert not judged(asks_first).clean


def test_a_score_is_the_same_bytes_within_an_answer() -> None:
    """What is compared: the encoder writes a message within another as it writes it alone."""
    from schemas.answer import Answer
    from schemas.score import Score

    score = codec.record_type(Score)(
        transaction_id="t",
        event_time_ms=1,
        card_id="c",
        probability=0.1,
        reconstruction_error=1e-9,
        anomaly_percentile=3.0,
        alert=False,
        model="fraud/1@cpu",
        late=False,
    )
    whole = codec.record_type(Answer)(request="g:1", source_topic="t", source_partition=0, source_offset=1, score=score)
    assert codec.encode(score) in codec.encode(whole)
