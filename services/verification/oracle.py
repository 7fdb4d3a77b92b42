"""The oracle's logic, pure: positions in, verdict out.

One `Ledger` for each input partition holds a byte of marks for every offset, so that millions of records fit in memory
and are checked by whole columns. Offsets are int64 arrays of shape (records,), in the order in which they were read.
"""

from array import array
from collections.abc import Iterable
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.verification.verdict import EXAMPLES_MAX, Verdict

Offsets = NDArray[np.int64]
Marks = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Mark(IntFlag):
    """What was seen of one input offset."""

    INPUT = 1
    SCORE = 2
    DEAD_LETTER = 4
    ALERT = 8
    DECISION = 16
    SAYS_ALERT = 32
    """Its score says that it raised an alert; of an application, that it is not approved."""
    ALERT_DECISION = 64
    """Its decision says that it was recorded because of an alert."""


OUTPUTS: Final = Mark.SCORE | Mark.DEAD_LETTER | Mark.ALERT | Mark.DECISION

METRIC_FIELDS = ("first_offset", "last_offset", "records", "scored", "alerts", "dead_letters")
"""What the oracle takes of a scoring metric, in this order."""


class Ledger:
    """Everything seen of the input partition `name` between the offsets `base` and `end`."""

    def __init__(self, name: str, base: int, end: int) -> None:
        self.name = name
        self._base = base
        self._end = max(end, base)
        self._marks: Marks = np.zeros(self._end - base, np.uint8)
        self._last: dict[tuple[Mark, int], int] = {}
        self._metrics = array("q")
        self._said: NDArray[np.uint32] | None = None
        self._said_beside: list[tuple[Mark, Offsets, NDArray[np.uint32]]] = []
        self._verdict = Verdict()

    def add_inputs(self, offsets: Offsets) -> None:
        """Records of the input."""
        self._marks[offsets - self._base] |= Mark.INPUT.value

    def add_outputs(self, kind: Mark, sources: Offsets, flagged: Mask | None = None, lane: int = 0) -> None:
        """Output records of one kind, by their source offsets in the order of their topic.

        flagged: which of them say alert (scores) or were recorded because of one (decisions). lane: within which they are in
        order, where they are spread over partitions by subject.
        """
        beyond = sources >= self._end
        if beyond.any():
            self._note("inconsistent", sources[beyond], "output of an input that does not exist")
        held = (sources >= self._base) & ~beyond
        if not held.all():
            sources, flagged = sources[held], None if flagged is None else flagged[held]
        if not len(sources):
            return
        index = sources - self._base
        fresh = (self._marks[index] & kind.value) == 0
        first_in_chunk = np.zeros(len(index), np.bool_)
        first_in_chunk[np.unique(index, return_index=True)[1]] = True
        fresh &= first_in_chunk
        self._note("duplicate", sources[~fresh], _word(kind))
        before = np.maximum.accumulate(np.concatenate(([self._last.get((kind, lane), -1)], sources)))
        self._note("out_of_order", sources[fresh & (sources < before[:-1])], _word(kind))
        self._last[kind, lane] = int(before[-1])
        self._marks[index] |= kind.value
        if flagged is not None:
            says = Mark.SAYS_ALERT if kind is Mark.SCORE else Mark.ALERT_DECISION
            self._marks[index[flagged]] |= says.value

    def add_said(self, kind: Mark, sources: Offsets, said: NDArray[np.uint32]) -> None:
        """What outputs say of a policy, as numbers that are equal where it is the same; 0: nothing."""
        held = (sources >= self._base) & (sources < self._end)
        if kind is not Mark.SCORE:
            self._said_beside.append((kind, sources[held], said[held]))
        elif said.any():
            if self._said is None:
                self._said = np.zeros(len(self._marks), np.uint32)
            self._said[sources[held] - self._base] = said[held]

    def add_metric(self, fields: Iterable[int]) -> None:
        """One scoring metric: the integers named by METRIC_FIELDS."""
        self._metrics.extend(fields)

    def misplaced(self, kind: Mark, sources: Offsets) -> None:
        """Output records on a wrong partition for their inputs."""
        self._note("out_of_order", sources, f"{_word(kind)} on a foreign partition")

    def first_output(self) -> int:
        """The lowest input offset that has an output; the end of the input where none has."""
        found = np.flatnonzero(_has(self._marks, OUTPUTS))
        return self._base + int(found[0]) if len(found) else self._end

    def next_output(self) -> int:
        """One more than the highest input offset that has an output; the input's beginning where none has."""
        found = np.flatnonzero(_has(self._marks, OUTPUTS))
        return self._base + int(found[-1]) + 1 if len(found) else self._base

    def judge(
        self,
        committed: int,
        committed_after: int | None = None,
        floor: int | None = None,
        *,
        every_decision: bool = False,
    ) -> Verdict:
        """The verdict on the inputs from `floor` (inclusive) to `committed` (exclusive).

        committed: the group's offset, read before the outputs were. committed_after: the same, read after them: an
        output from there on was written without its offset. floor: where the outputs begin, if older ones were deleted.
        every_decision: each score is due one.
        """
        low = min(max(floor or 0, self._base), self._end)
        high = min(max(committed, low), self._end)
        verdict, marks = self._verdict, self._marks[low - self._base : high - self._base]
        is_input = _has(marks, Mark.INPUT)
        scored, dead = _has(marks, Mark.SCORE), _has(marks, Mark.DEAD_LETTER)
        alert, decision = _has(marks, Mark.ALERT), _has(marks, Mark.DECISION)
        verdict.inputs, verdict.scores, verdict.dead_letters = int(is_input.sum()), int(scored.sum()), int(dead.sum())
        verdict.alerts, verdict.decisions = int(alert.sum()), int(decision.sum())
        verdict.unjudged = int(_has(self._marks[: low - self._base], Mark.INPUT).sum())
        verdict.lag = int(_has(self._marks[high - self._base :], Mark.INPUT).sum())

        self._note("missing", _at(is_input & ~scored & ~dead, low), "no score and no dead letter")
        self._note("duplicate", _at(scored & dead, low), "a score and a dead letter")
        says_alert, for_alert = _has(marks, Mark.SAYS_ALERT), _has(marks, Mark.ALERT_DECISION)
        if not every_decision:
            self._note("inconsistent", _at(says_alert & ~alert, low), "the score says alert, but there is none")
        self._note("inconsistent", _at(alert & ~says_alert, low), "an alert, but no score that says so")
        self._note("inconsistent", _at(alert & ~for_alert, low), "an alert without its decision")
        self._note("inconsistent", _at(for_alert & ~alert, low), "a decision for an alert that is not there")
        self._note("inconsistent", _at(decision & ~scored, low), "a decision without its score")
        if every_decision:
            self._note("inconsistent", _at(scored & ~decision, low), "a score without its decision")
        self._note("inconsistent", _at(_has(marks, OUTPUTS) & ~is_input, low), "output of an offset that is no input")
        ahead = max(high, committed if committed_after is None else committed_after)
        early = _has(self._marks[max(ahead - self._base, 0) :], OUTPUTS)
        self._note("inconsistent", _at(early, ahead), "output, but its offset was not committed")
        self._judge_said(low, high)
        self._judge_metrics(marks, low, high, Mark.SAYS_ALERT if every_decision else Mark.ALERT)
        return verdict

    def _judge_said(self, low: int, high: int) -> None:
        """An alert and a decision say of the policy what their score says."""
        for kind, sources, said in self._said_beside:
            judged = (sources >= low) & (sources < high)
            index, found = sources[judged] - self._base, said[judged]
            of_score = np.zeros(len(found), np.uint32) if self._said is None else self._said[index]
            scored = _has(self._marks[index], Mark.SCORE)
            differs = sources[judged][scored & (of_score != found)]
            self._note("inconsistent", differs, f"{_word(kind)}: another action or other rules than its score's")

    def _judge_metrics(self, marks: Marks, low: int, high: int, alerted: Mark) -> None:
        """Each metric must equal the records that it counts, and no record be counted twice. alerted: what is an alert."""
        rows = np.frombuffer(self._metrics, np.int64).reshape(-1, len(METRIC_FIELDS))
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        rows = rows[(rows[:, 0] >= low) & (rows[:, 1] < high)]
        self._note("inconsistent", rows[rows[:, 1] < rows[:, 0], 0], "scoring-metrics ends before it begins")
        rows = rows[rows[:, 1] >= rows[:, 0]]
        first, last = rows[:, 0], rows[:, 1]
        overlap = np.zeros(len(rows), np.bool_)
        overlap[1:] = first[1:] <= np.maximum.accumulate(last)[:-1]
        self._note("inconsistent", first[overlap], "counted twice on scoring-metrics")
        for column, kind in enumerate((Mark.INPUT, Mark.SCORE, alerted, Mark.DEAD_LETTER), start=2):
            sums = np.concatenate(([0], np.cumsum(_has(marks, kind), dtype=np.int64)))
            differs = rows[:, column] != sums[last - low + 1] - sums[first - low]
            self._note(
                "inconsistent", first[differs], f"scoring-metrics counts another number of {METRIC_FIELDS[column]}"
            )
        counted = int(rows[~overlap, 2].sum())
        self._verdict.uncounted = max(self._verdict.inputs - counted, 0)

    def _note(self, damage: str, offsets: Offsets, what: str) -> None:
        positions = (f"{self.name}@{offset}: {what}" for offset in offsets[:EXAMPLES_MAX].tolist())
        self._verdict.note(damage, len(offsets), *positions)


def total(verdicts: Iterable[Verdict]) -> Verdict:
    """The sum over partitions."""
    whole = Verdict()
    for part in verdicts:
        for name, value in part.as_dict().items():
            if name != "examples":
                setattr(whole, name, getattr(whole, name) + value)
        for damage, positions in part.examples.items():
            kept = whole.examples.setdefault(damage, [])
            kept.extend(positions[: EXAMPLES_MAX - len(kept)])
    return whole


def _has(marks: Marks, kind: Mark) -> Mask:
    present: Mask = (marks & kind.value) != 0
    return present


def _at(mask: Mask, low: int) -> Offsets:
    return np.flatnonzero(mask).astype(np.int64) + low


def _word(kind: Mark) -> str:
    return (kind.name or "").lower().replace("_", " ")
