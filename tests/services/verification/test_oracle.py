"""The oracle's logic: every kind of damage is found, and nothing else."""

import numpy as np
import pytest

from services.verification.oracle import Ledger, Mark, total
from services.verification.verdict import EXAMPLES_MAX, Verdict

INPUTS = 10
ALERTED = 6
DEAD = 3


def offsets(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def healthy(*, without: dict[Mark, int] | None = None, base: int = 0, end: int = INPUTS) -> Ledger:
    """Offsets 0 to 9, 3 a dead letter, 6 an alert; `without` leaves out one output."""
    without = without or {}
    ledger = Ledger("transactions-0", base, end)
    ledger.add_inputs(np.arange(base, INPUTS))
    outputs = {
        Mark.SCORE: [at for at in range(base, INPUTS) if at != DEAD],
        Mark.DEAD_LETTER: [DEAD],
        Mark.ALERT: [ALERTED],
        Mark.DECISION: [ALERTED],
    }
    for kind, sources in outputs.items():
        sources = [at for at in sources if at >= base and without.get(kind) != at]
        flagged = np.array([at == ALERTED for at in sources], np.bool_)
        ledger.add_outputs(kind, offsets(*sources), flagged if kind in (Mark.SCORE, Mark.DECISION) else None)
    return ledger


def damage(verdict: Verdict) -> dict[str, int]:
    counts = {
        name: getattr(verdict, name) for name in ("missing", "duplicate", "out_of_order", "inconsistent", "hanging")
    }
    return {name: count for name, count in counts.items() if count}


def test_a_healthy_run_is_clean() -> None:
    """One output for each input, alerts with their decisions: no damage, and the counts are right."""
    verdict = healthy().judge(INPUTS)
    assert verdict.clean
    assert damage(verdict) == {}
    assert (verdict.inputs, verdict.scores, verdict.dead_letters, verdict.alerts) == (10, 9, 1, 1)
    assert verdict.examples == {}


def test_an_input_without_output_is_missing() -> None:
    """Neither score nor dead letter below the committed offset."""
    verdict = healthy(without={Mark.SCORE: 5}).judge(INPUTS)
    assert damage(verdict) == {"missing": 1}
    assert verdict.examples["missing"] == ["transactions-0@5: no score and no dead letter"]


def test_an_input_beyond_the_committed_offset_is_lag_not_missing() -> None:
    """What the group has not committed yet is not judged."""
    ledger = Ledger("transactions-0", 0, INPUTS)
    ledger.add_inputs(np.arange(INPUTS))
    ledger.add_outputs(Mark.SCORE, np.arange(4), np.zeros(4, np.bool_))
    verdict = ledger.judge(4)
    assert verdict.clean
    assert (verdict.inputs, verdict.lag) == (4, 6)


@pytest.mark.parametrize("kind", [Mark.SCORE, Mark.DEAD_LETTER, Mark.ALERT, Mark.DECISION])
def test_a_repeated_output_is_a_duplicate_and_not_out_of_order(kind: Mark) -> None:
    """The second output of one kind for one input, in a later chunk."""
    ledger = healthy()
    source = DEAD if kind is Mark.DEAD_LETTER else ALERTED
    ledger.add_outputs(kind, offsets(source), np.array([True]))
    verdict = ledger.judge(INPUTS)
    assert verdict.duplicate == 1
    assert verdict.out_of_order == 0


def test_a_repetition_within_one_chunk_is_found() -> None:
    """Both records of the pair arrive together."""
    ledger = Ledger("transactions-0", 0, 3)
    ledger.add_inputs(np.arange(3))
    ledger.add_outputs(Mark.SCORE, offsets(0, 1, 1, 2, 1), np.zeros(5, np.bool_))
    assert damage(ledger.judge(3)) == {"duplicate": 2}


def test_a_score_and_a_dead_letter_for_one_input_are_duplicates() -> None:
    """An input is due exactly one of the two."""
    ledger = healthy()
    ledger.add_outputs(Mark.DEAD_LETTER, offsets(8))
    assert damage(ledger.judge(INPUTS)) == {"duplicate": 1}


def test_outputs_that_run_backwards_are_out_of_order() -> None:
    """Within a chunk and from one chunk to the next."""
    ledger = Ledger("transactions-0", 0, 5)
    ledger.add_inputs(np.arange(5))
    ledger.add_outputs(Mark.SCORE, offsets(1, 0, 4), np.zeros(3, np.bool_))
    ledger.add_outputs(Mark.SCORE, offsets(2, 3), np.zeros(2, np.bool_))
    assert damage(ledger.judge(5)) == {"out_of_order": 3}


def test_an_output_on_a_foreign_partition_is_out_of_order() -> None:
    """It would break the order of its card."""
    ledger = healthy()
    ledger.misplaced(Mark.SCORE, offsets(2))
    assert damage(ledger.judge(INPUTS)) == {"out_of_order": 1}


@pytest.mark.parametrize(
    ("lost", "inconsistent"),
    [
        ({Mark.ALERT: ALERTED}, 2),  # the score and the decision both say that there should be one
        ({Mark.DECISION: ALERTED}, 1),
    ],
)
def test_outputs_that_should_come_together_but_do_not_are_inconsistent(
    lost: dict[Mark, int], inconsistent: int
) -> None:
    """A score that says alert, its alert and its decision: all or none."""
    assert damage(healthy(without=lost).judge(INPUTS)) == {"inconsistent": inconsistent}


def test_an_alert_without_its_score_is_inconsistent_and_missing() -> None:
    """The alert, and the decision, point to a score that is not there."""
    assert damage(healthy(without={Mark.SCORE: ALERTED}).judge(INPUTS)) == {"missing": 1, "inconsistent": 2}


def test_an_alert_that_its_score_does_not_know_is_inconsistent() -> None:
    """The score says no alert."""
    ledger = healthy()
    ledger.add_outputs(Mark.ALERT, offsets(8))
    ledger.add_outputs(Mark.DECISION, offsets(8), np.array([True]))
    assert damage(ledger.judge(INPUTS)) == {"inconsistent": 1}


def test_an_output_whose_offset_was_never_committed_is_inconsistent() -> None:
    """Output and offset belong to one transaction."""
    verdict = healthy().judge(8)
    assert damage(verdict) == {"inconsistent": 2}
    assert healthy().judge(8, committed_after=INPUTS).clean


def test_an_output_of_an_offset_that_is_no_input_is_inconsistent() -> None:
    """Neither of one beyond the input's end nor of a hole in it."""
    ledger = Ledger("transactions-0", 0, 3)
    ledger.add_inputs(offsets(0, 2))
    ledger.add_outputs(Mark.SCORE, offsets(0, 1, 2, 7), np.zeros(4, np.bool_))
    assert damage(ledger.judge(3)) == {"inconsistent": 2}


def test_a_hole_in_the_input_is_not_missing() -> None:
    """Markers and aborted records have offsets, but no reader ever sees them."""
    ledger = Ledger("transactions-0", 0, 4)
    ledger.add_inputs(offsets(0, 3))
    ledger.add_outputs(Mark.SCORE, offsets(0, 3), np.zeros(2, np.bool_))
    verdict = ledger.judge(4)
    assert verdict.clean
    assert verdict.inputs == 2


def test_inputs_whose_outputs_were_deleted_are_left_out() -> None:
    """Retention took the outputs before offset 5."""
    ledger = Ledger("transactions-0", 0, INPUTS)
    ledger.add_inputs(np.arange(INPUTS))
    ledger.add_outputs(Mark.SCORE, np.arange(5, INPUTS), np.zeros(5, np.bool_))
    verdict = ledger.judge(INPUTS, floor=5)
    assert verdict.clean
    assert (verdict.inputs, verdict.unjudged) == (5, 5)


def test_outputs_of_inputs_that_retention_deleted_are_left_out() -> None:
    """The input now begins at offset 4."""
    ledger = healthy(base=4)
    ledger.add_outputs(Mark.DECISION, offsets(1), np.array([False]))
    assert ledger.judge(INPUTS).clean


@pytest.mark.parametrize(
    "row",
    [
        (0, 4, 6, 4, 0, 1),  # records
        (0, 4, 5, 5, 0, 1),  # scored
        (0, 4, 5, 4, 1, 1),  # alerts
        (0, 4, 5, 4, 0, 0),  # dead letters
        (4, 0, 5, 4, 0, 1),  # ends before it begins
    ],
)
def test_a_metric_that_contradicts_the_records_is_inconsistent(row: tuple[int, ...]) -> None:
    """Its sums must equal what lies between its first and last offset."""
    ledger = healthy()
    ledger.add_metric(row)
    assert damage(ledger.judge(INPUTS)) == {"inconsistent": 1}


def test_metrics_that_overlap_are_inconsistent() -> None:
    """Records counted twice, each metric right on its own."""
    ledger = healthy()
    ledger.add_metric((0, 4, 5, 4, 0, 1))
    ledger.add_metric((4, 6, 3, 3, 1, 0))
    assert damage(ledger.judge(INPUTS)) == {"inconsistent": 1}


def test_metrics_may_lag_behind() -> None:
    """What no metric counts yet is reported, but is no damage."""
    ledger = healthy()
    ledger.add_metric((0, 4, 5, 4, 0, 1))
    verdict = ledger.judge(INPUTS)
    assert verdict.clean
    assert verdict.uncounted == 5


def test_partitions_add_up_with_a_few_examples() -> None:
    """Counts are whole, examples are bounded."""
    parts = []
    for name in ("transactions-0", "transactions-1"):
        ledger = Ledger(name, 0, 100)
        ledger.add_inputs(np.arange(100))
        parts.append(ledger.judge(100))
    whole = total(parts)
    assert (whole.missing, whole.inputs) == (200, 200)
    assert len(whole.examples["missing"]) == EXAMPLES_MAX
    assert not whole.clean
