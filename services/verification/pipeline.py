"""Which topics are judged: payments, credit applications, or what intake makes of a topic of the user's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.sources.routed import in_log
from models.sources.spec_file import topic_of, users_topic
from schemas.source_spec import SourceSpec
from schemas.topics import (
    ALERTS,
    ANSWERS,
    APPLICATIONS,
    CONTROL_ANSWERS,
    CREDIT_CONTROL_ANSWERS,
    CREDIT_DECISIONS,
    CREDIT_MODEL_REFERENCES,
    CREDIT_OUTPUTS,
    CREDIT_SCORES,
    DEAD_LETTERS,
    DECISIONS,
    ENTITY_FEATURES,
    EVENTS,
    INTAKE_OUTPUTS,
    MODEL_REFERENCES,
    SCORER_OUTPUTS,
    SCORES,
    TERMINAL_SUMS,
    TRANSACTIONS,
    Topic,
)
from services.formats import RecordReader
from services.verification.oracle import Mark


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The topics to check. marks: what a record of an output topic marks about its input; the others hold sums.

    every_decision: whether each score is due a decision with its outcome, as credit's are, and not only an alert's.
    """

    source: Topic
    outputs: Sequence[Topic]
    marks: Mapping[str, Mark]
    every_decision: bool
    spec: SourceSpec | None = None
    """Of the records on it, where the source is the user's own."""
    reader: RecordReader | None = None
    """Of their format and envelope, where these are the user's own, too."""
    by_subject: frozenset[str] = frozenset()
    """Output topics that are keyed and placed by subject, not on their input's partition."""
    answers: Topic | None = None
    """Where those who asked for an answer have it."""
    judged: bool = True
    """Whether scores say what raised an alert, and decisions by which thresholds."""

    def reading(self, spec: SourceSpec | None) -> "Pipeline":
        """The same for another source."""
        return self if spec is None else replace(self, source=topic_of(spec), spec=in_log(spec))

    def of_entities(self) -> "Pipeline":
        """The same behind the stages of entities, which pass on what the source spec selects and nothing else."""
        return replace(self, source=ENTITY_FEATURES, spec=None)


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
    answers=ANSWERS,
)


def routing(spec: SourceSpec, reader: RecordReader) -> Pipeline:
    """From the user's topic to `events`: each record that is meant is due one event or one dead letter.

    reader: of the spec's format and envelope.
    """
    marks = {EVENTS.name: Mark.SCORE, DEAD_LETTERS.name: Mark.DEAD_LETTER}
    return Pipeline(
        users_topic(spec),
        INTAKE_OUTPUTS,
        marks,
        every_decision=False,
        spec=spec,
        reader=reader,
        by_subject=frozenset({EVENTS.name}),
        judged=False,
    )


CREDIT = Pipeline(
    APPLICATIONS,
    tuple(topic for topic in CREDIT_OUTPUTS if topic not in (CREDIT_MODEL_REFERENCES, CREDIT_CONTROL_ANSWERS)),
    {CREDIT_SCORES.name: Mark.SCORE, DEAD_LETTERS.name: Mark.DEAD_LETTER, CREDIT_DECISIONS.name: Mark.DECISION},
    every_decision=True,
)
