"""Which topics are judged: payments or credit applications."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.sources.spec_file import topic_of
from schemas.source_spec import SourceSpec
from schemas.topics import (
    ALERTS,
    ANSWERS,
    APPLICATIONS,
    CONTROL_ANSWERS,
    CREDIT_DECISIONS,
    CREDIT_OUTPUTS,
    CREDIT_SCORES,
    DEAD_LETTERS,
    DECISIONS,
    MODEL_REFERENCES,
    SCORER_OUTPUTS,
    SCORES,
    TERMINAL_SUMS,
    TRANSACTIONS,
    Topic,
)
from services.verification.oracle import Mark


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The topics to check. marks: what a record of an output topic marks about its input; the others hold sums.

    every_decision: whether each score is due a decision, not only an alert's.
    """

    source: Topic
    outputs: Sequence[Topic]
    marks: Mapping[str, Mark]
    every_decision: bool
    spec: SourceSpec | None = None
    """Of the source, where it is the user's own."""

    def reading(self, spec: SourceSpec | None) -> "Pipeline":
        """The same for another source."""
        return self if spec is None else replace(self, source=topic_of(spec), spec=spec)


PAYMENTS = Pipeline(
    TRANSACTIONS,
    # sums of terminals belong to many inputs each: what they add up to is tested with the profiler
    tuple(
        topic for topic in SCORER_OUTPUTS if topic not in (TERMINAL_SUMS, MODEL_REFERENCES, CONTROL_ANSWERS, ANSWERS)
    ),
    {
        SCORES.name: Mark.SCORE,
        DEAD_LETTERS.name: Mark.DEAD_LETTER,
        ALERTS.name: Mark.ALERT,
        DECISIONS.name: Mark.DECISION,
    },
    every_decision=False,
)
CREDIT = Pipeline(
    APPLICATIONS,
    CREDIT_OUTPUTS,
    {CREDIT_SCORES.name: Mark.SCORE, DEAD_LETTERS.name: Mark.DEAD_LETTER, CREDIT_DECISIONS.name: Mark.DECISION},
    every_decision=True,
)
