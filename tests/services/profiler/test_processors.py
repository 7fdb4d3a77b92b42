"""The profiler's two halves without Kafka: verdicts become sums, sums become profiles, and a restart changes nothing."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from models.features.terminal_days import DAY_MS
from schemas.feature_spec import PROFILE_DAYS
from schemas.privacy import PrivacyKey
from schemas.terminal import SUMS_MAX
from services.engine.batches import Processor, Result
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import TimeLimits
from services.observability.metrics import Metrics
from services.profiler.labels import LabelLimits, LabelProcessor
from services.profiler.merge import MergeProcessor
from services.profiler.sums import by_terminal
from services.scorer.profiles import ProfileTable
from services.settings.processing import RuntimeSettings

NOW_MS = 20_000 * DAY_MS
LETTERS = DeadLetterWriter(PrivacyKey("test", b"k" * 32))


@dataclass(frozen=True)
class Input:
    """As the Kafka client hands it over."""

    offset: int
    value: bytes | None
    topic: str = "labels"
    partition: int = 0
    timestamp: int = NOW_MS


def verdicts(frauds_max: int = 100, *, scan_ids: bool = False) -> LabelProcessor:
    runtime, metrics = RuntimeSettings(), Metrics(by_topic=True)
    times = TimeLimits(runtime.event_ahead_ms_max, runtime.event_time_ms_min)
    limits = LabelLimits(runtime.message_bytes_max, times, frauds_max, scan_ids)
    return LabelProcessor(TopicPartition("labels", 0), "", by_terminal(""), limits, LETTERS, metrics)


def merge(terminals_max: int = 1_000_000) -> MergeProcessor:
    settings = RuntimeSettings(), LETTERS, Metrics(by_topic=True)
    return MergeProcessor(TopicPartition("terminal-sums", 0), "", *settings, terminals_max)


def label(transaction_id: str, verdict: str = "fraud", **fields: Any) -> dict[str, Any]:
    placed = {"terminal_id": "t1", "event_time_ms": NOW_MS - 8 * DAY_MS} if verdict == "fraud" else {}
    said = {"transaction_id": transaction_id, "verdict": verdict, "source": "analyst", "labelled_at_ms": NOW_MS}
    return {**said, **placed, **fields}


def inputs(values: Sequence[Any], first: int = 0) -> list[Input]:
    return [Input(first + n, v if isinstance(v, bytes) else json.dumps(v).encode()) for n, v in enumerate(values)]


async def run(processor: Processor, values: Sequence[Any]) -> Result:
    result = await processor.process(inputs(values))
    processor.committed(result)
    return result


def written(result: Result, topic: str) -> list[dict[str, Any]]:
    return [json.loads(value) for write in result.writes if write.topic == topic for value in write.values]


def parts(day: int, payments: int, *terminals: str) -> list[dict[str, Any]]:
    """As many payments at each of these terminals, as a partition's sums have them."""
    return [
        {"day": day, "terminal_ids": part, "payments": [payments] * len(part), "frauds": [0] * len(part)}
        for start in range(0, len(terminals), SUMS_MAX)
        if (part := terminals[start : start + SUMS_MAX])
    ]


def flushed(processor: MergeProcessor) -> dict[str, dict[str, Any] | None]:
    """What is written of each terminal; on a slow machine, too, nothing of it is written before."""
    result = processor.flush(force=True)
    assert result is not None
    processor._written_s = math.inf
    (write,) = result.writes
    return {
        (key or b"").decode(): value and json.loads(value) for key, value in zip(write.keys, write.values, strict=True)
    }


def reader(*results: dict[str, dict[str, Any] | None]) -> ProfileTable:
    """A scorer's table that read it."""
    table = ProfileTable()
    rows = [(key, value) for written in results for key, value in written.items()]
    table.apply(
        [
            SimpleNamespace(key=key.encode(), value=value and json.dumps(value).encode(), offset=offset, partition=0)
            for offset, (key, value) in enumerate(rows)
        ]
    )
    return table


async def test_a_flood_of_invented_terminals_neither_pushes_out_real_ones_nor_keeps_them_out() -> None:
    """Real ones come back on another day, or have more payments from the first day on; scorers hold the same terminals."""
    full = merge(terminals_max=1_000)
    full._written_s = math.inf
    known = [f"known-{number}" for number in range(500)]
    await run(full, [*parts(19_900, 2, *known), *parts(19_901, 1, *known)])
    before = flushed(full)
    new, day = [f"new-{number}" for number in range(50)], 19_902
    invented = [f"x{number}" for number in range(20_000)]
    await run(full, [*parts(day, 1, *invented[:10_000]), *parts(day, 4, *new), *parts(day, 1, *invented[10_000:])])
    assert len(full._profiles) <= 1_000
    assert {*known, *new} <= set(full._profiles)
    table = reader(before, flushed(full))
    assert set(table.profiles) == set(full._profiles)
    assert table.profiles.profile("new-1").payments == [4]
    kinds = {kind: full._metrics.forgotten_terminals.labels(kind)._value.get() for kind in ("fresh", "established")}
    assert kinds == {"fresh": 20_000 + 500 + 50 - len(full._profiles), "established": 0}


async def test_who_takes_the_place_of_a_real_terminal_pays_three_times_on_two_days_and_is_seen() -> None:
    """Then those that were idle the longest go, and the metric says that established ones did."""
    full = merge(terminals_max=1_000)
    known = [f"known-{number}" for number in range(900)]
    await run(full, [*parts(19_900, 2, *known), *parts(19_901, 1, *known)])
    await run(full, parts(19_902, 1, *known[450:]))
    for bought in ([f"x{number}" for number in range(at, at + 100)] for at in (0, 100, 200)):
        await run(full, [*parts(19_902, 2, *bought), *parts(19_903, 1, *bought)])
    assert set(known[450:]) <= set(full._profiles)
    assert set(known) - set(full._profiles) != set()
    assert full._metrics.forgotten_terminals.labels("established")._value.get() > 0


async def test_what_is_forgotten_is_the_same_after_a_restart_and_is_written_once() -> None:
    """From a snapshot in the middle, from the log alone, and without any: the same profiles, the same records."""
    values = [*parts(19_900, 2, "a", "b", "c"), *parts(19_901, 1, "a", "b")]
    later = [*parts(19_902, 1, "x", "y"), *parts(19_903, 1, "z", "a"), *parts(19_999, 1, "new")]
    running, restored, absorbed = merge(terminals_max=4), merge(terminals_max=4), merge(terminals_max=4)
    running._written_s = math.inf
    await run(running, values)
    restored.restore(running.snapshot().arrays())
    restored.absorb(inputs(later))
    absorbed.absorb(inputs([*values, *later]))
    await run(running, later)
    again = merge(terminals_max=4)
    again.restore(running.snapshot().arrays())
    again._last = running._last
    found = [flushed(one) for one in (running, restored, absorbed, again)]
    assert {name for name, value in found[0].items() if value is None} == {"x", "y", "z"}
    assert list(running._profiles) == ["a", "b", "c", "new"]
    assert found[1] == found[2] == found[3] == found[0]
    assert [list(one._profiles) for one in (restored, absorbed, again)] == [list(running._profiles)] * 3


async def test_a_terminal_that_a_person_reported_a_fraud_of_is_kept_as_established() -> None:
    """Its payments may be on the way still."""
    full = merge(terminals_max=8)
    reported = {"day": 19_900, "terminal_ids": ["reported"], "payments": [0], "frauds": [1]}
    await run(full, [reported, *parts(19_901, 1, *[f"x{number}" for number in range(100)])])
    assert "reported" in full._profiles


CARD_NUMBER = "4111-1111-1111-1111"


@pytest.mark.parametrize("field", ["card_id", "transaction_id", "terminal_id"])
async def test_a_label_with_a_card_number_is_a_dead_letter_as_a_payment_is(field: str) -> None:
    """The card's id always, the others where payments are scanned too: they may be plain numbers."""
    said = [label("a"), {**label("b"), field: CARD_NUMBER}, label("c")]
    for scan_ids, letters in ((True, 1), (False, int(field == "card_id"))):
        result = await run(verdicts(scan_ids=scan_ids), said)
        found = written(result, "dead-letters")
        assert [one["reason"] for one in found] == ["card_number"] * letters
        assert not any("1111" in json.dumps(one) for one in found)
        assert len(written(result, "terminal-sums")) == 3 - letters


async def test_the_latest_verdict_counts_and_takes_back_an_earlier_one() -> None:
    """Repeated verdicts say nothing; the day is the payment's, not the label's."""
    told = ["fraud", "fraud", "legitimate", "legitimate", "fraud"]
    result = await run(verdicts(), [label("a", verdict) for verdict in told])
    sums = written(result, "terminal-sums")
    assert [one["frauds"] for one in sums] == [[1], [-1], [1]]
    assert {one["day"] for one in sums} == {20_000 - 8}
    assert all(one["terminal_ids"] == ["t1"] and one["payments"] == [0] for one in sums)


async def test_a_snapshot_remembers_what_can_be_taken_back() -> None:
    """And the same as a silent fold does."""
    before = [label("a"), label("b", terminal_id="t2")]
    running, restored, absorbed = verdicts(), verdicts(), verdicts()
    await run(running, before)
    restored.restore(running.snapshot().arrays())
    absorbed.absorb(inputs(before))
    for processor in (running, restored, absorbed):
        (sums,) = written(await run(processor, [label("b", "legitimate")]), "terminal-sums")
        assert (sums["terminal_ids"], sums["frauds"]) == (["t2"], [-1])


async def test_a_fraud_forgotten_for_room_is_not_taken_back() -> None:
    """The oldest goes first."""
    processor = verdicts(frauds_max=1)
    await run(processor, [label("a"), label("b")])
    result = await run(processor, [label("a", "legitimate"), label("b", "legitimate")])
    assert [one["frauds"] for one in written(result, "terminal-sums")] == [[-1]]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "empty"),
        (b"{", "undecodable"),
        (label("a", "maybe"), "schema"),
        (label("a", event_time_ms=NOW_MS + 30 * DAY_MS), "future"),
    ],
)
async def test_a_bad_label_is_one_dead_letter_and_leaves_its_neighbours_alone(bad: Any, reason: str) -> None:
    """A time in the future would push everything that is kept out of a profile."""
    result = await run(verdicts(), [label("x"), bad, label("y")])
    assert [letter["reason"] for letter in written(result, "dead-letters")] == [reason]
    assert len(written(result, "terminal-sums")) == 2


async def test_a_fraud_without_its_place_is_counted_as_such() -> None:
    """No profile can hold it; the metric says how many there are."""
    processor = verdicts()
    result = await run(processor, [label("a", terminal_id=None), label("b", event_time_ms=None)])
    assert written(result, "terminal-sums") == written(result, "dead-letters") == []
    assert processor._metrics.registry.get_sample_value("assay_unplaced_labels_total") == 2


def sums(day: int, **terminals: tuple[int, int]) -> dict[str, Any]:
    payments, frauds = zip(*terminals.values(), strict=True)
    return {"day": day, "terminal_ids": list(terminals), "payments": payments, "frauds": frauds}


async def test_profiles_are_the_sum_of_all_parts() -> None:
    """Written once each, however many parts there were."""
    processor = merge()
    assert (
        written(
            await run(processor, [sums(10, a=(2, 0), b=(1, 0)), sums(11, a=(1, 0)), sums(10, a=(3, 1))]),
            "terminal-profiles",
        )
        == []
    )
    result = processor.flush(force=True)
    assert result is not None
    assert written(result, "terminal-profiles") == [
        {"terminal_id": "a", "last_day": 11, "payments": [5, 1], "frauds": [1, 0]},
        {"terminal_id": "b", "last_day": 10, "payments": [1], "frauds": [0]},
    ]
    assert processor.flush(force=True) is None


async def test_a_terminal_that_made_room_before_it_was_written_is_ended() -> None:
    """Older than any feature looks: no one misses it, and the rest is written."""
    processor = merge()
    many = {f"t{number}": (1, 0) for number in range(3000)}
    parts = [dict(islice(many.items(), start, start + SUMS_MAX)) for start in range(0, len(many), SUMS_MAX)]
    result = await run(processor, [sums(10, old=(1, 0)), *(sums(10 + 2 * PROFILE_DAYS, **part) for part in parts)])
    assert result.dead_letters == 0
    found = flushed(processor)
    assert found.pop("old") is None
    assert {one["terminal_id"] for one in found.values() if one} == found.keys() == set(many)


async def test_what_may_not_have_been_written_is_written_after_a_restart() -> None:
    """From a snapshot taken before, and from the log alone."""
    parts = [sums(10, a=(2, 0)), sums(10, b=(1, 0))]
    running, restored, absorbed = merge(), merge(), merge()
    await run(running, parts[:1])
    restored.restore(running.snapshot().arrays())
    restored.absorb(inputs(parts[1:], 1))
    absorbed.absorb(inputs(parts))
    await run(running, parts[1:])
    said = []
    for processor in (running, restored, absorbed):
        result = processor.flush(force=True)
        assert result is not None
        said.append(written(result, "terminal-profiles"))
    assert said[0] == said[1] == said[2]
    assert len(said[0]) == 2


async def test_sums_that_do_not_fit_together_are_a_dead_letter() -> None:
    """Nothing of them is added."""
    processor = merge()
    result = await run(processor, [{**sums(10, a=(2, 0)), "frauds": []}])
    assert [letter["reason"] for letter in written(result, "dead-letters")] == ["schema"]
    assert processor.flush(force=True) is None


async def test_a_snapshot_that_does_not_fit_leaves_the_state_alone() -> None:
    """Said as the runtime expects it."""
    processor = merge()
    await run(processor, [sums(10, a=(2, 0))])
    arrays = processor.snapshot().arrays()
    with pytest.raises(ValueError, match="do not fit"):
        processor.restore({**arrays, "changed": arrays["changed"][:0]})
    result = processor.flush(force=True)
    assert result is not None
    assert len(written(result, "terminal-profiles")) == 1


FAR_MS = 3_786_000_000_000
"""2089: plausible, and not now."""


async def test_sums_of_a_day_that_has_not_come_are_refused() -> None:
    """They are written by us, so their own timestamp is honest, whatever a payer or a label said."""
    sums = {"day": FAR_MS // DAY_MS, "terminal_ids": ["t1"], "payments": [1], "frauds": [0]}
    result = await run(merge(), [sums, {**sums, "day": NOW_MS // DAY_MS}])
    assert [letter["reason"] for letter in written(result, "dead-letters")] == ["future"]


@pytest.mark.parametrize("field", ["event_time_ms", "labelled_at_ms"])
async def test_a_label_with_a_time_that_cannot_be_is_a_dead_letter(field: str) -> None:
    """Far ahead of its record, or before the floor; and a record that itself is implausible, too."""
    result = await run(verdicts(), [label("a", **{field: FAR_MS}), label("b", **{field: NOW_MS // 1000})])
    assert [letter["reason"] for letter in written(result, "dead-letters")] == ["future", "past"]
    beyond = Input(0, json.dumps(label("c")).encode(), timestamp=NOW_MS * 1000)
    result = await verdicts().process([beyond])
    assert [letter["reason"] for letter in written(result, "dead-letters")] == ["timestamp"]
    assert not written(result, "terminal-sums")
