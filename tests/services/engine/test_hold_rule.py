"""When a partition is held for its dead letters, and how far an operator's decision reaches."""

from types import SimpleNamespace
from typing import Any

from schemas.dead_letter import DeadLetterReason
from services.engine.batches import Result
from services.engine.faults import Fault
from services.engine.hold_rule import HoldRule
from services.engine.suspects import IN_A_ROW_MAX
from services.settings.processing import RuntimeSettings


def garbage(first: int, records: int, reason: DeadLetterReason = DeadLetterReason.UNDECODABLE) -> tuple[Result, Any]:
    """A batch that is all dead letters, and its records."""
    batch = [SimpleNamespace(offset=offset) for offset in range(first, first + records)]
    faults = [Fault(record, reason, "") for record in batch]
    return Result([], records, records, faults), batch


def why(rule: HoldRule, first: int, records: int = 500, **given: Any) -> str | None:
    """What the rule says of a batch of garbage."""
    result, batch = garbage(first, records, **given)
    return rule.why(result, None, batch)


def test_what_is_let_through_ends_at_the_offset_that_was_named() -> None:
    """Behind it the same share of garbage holds the partition again."""
    rule = HoldRule(RuntimeSettings())
    assert why(rule, 0) is not None
    rule.let_through(500)
    assert why(rule, 0) is None
    assert why(rule, 500) is not None


def test_repetitions_are_no_garbage() -> None:
    """A source that repeats itself is worked on."""
    assert why(HoldRule(RuntimeSettings()), 0, reason=DeadLetterReason.DUPLICATE) is None


def test_a_stage_that_raises_on_whatever_comes_holds_the_partition() -> None:
    """One after the other, without a scored one between."""
    rule = HoldRule(RuntimeSettings())
    for offset in range(IN_A_ROW_MAX):
        result, batch = garbage(offset, 1, DeadLetterReason.UNSCORABLE)
        assert rule.why(result, "ValueError", batch) is None
        rule.count(result, "ValueError")
    result, batch = garbage(IN_A_ROW_MAX, 1, DeadLetterReason.UNSCORABLE)
    assert "ValueError" in str(rule.why(result, "ValueError", batch))
    rule.count(Result([], 10, 0), None)
    assert rule.why(result, "ValueError", batch) is None
