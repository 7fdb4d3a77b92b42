"""Fuzzing, bounded: no payload stops a partition, none is quoted in a dead letter or a log. `make fuzz` does a million."""

import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.features.spec_file import FeatureSpecError, parse_spec
from models.policy.policy_file import PolicyError, parse_policy
from models.sources.spec_file import SourceSpecError, parse_source
from schemas.times import TIME_MS_MIN
from schemas.topics import TOPICS
from services.engine.decode import Decoder
from services.engine.faults import TimeLimits
from tests.chaos.fuzz import SECRET, SHARD_INPUTS, fuzz, shards, spoiled
from tests.chaos.fuzz_edges import KINDS
from tests.services.engine.test_decode import record
from tests.services.harness import Stream

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
payloads = st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode(errors="surrogatepass"))


@given(st.lists(st.none() | payloads, min_size=1, max_size=20))
@example([b"[" * 100_000])
@example([b'"\\ud800"'])
def test_any_bytes_are_decoded_or_refused_once_each(values: list[bytes | None]) -> None:
    """No exception, no record without an answer, no record with two."""
    decoder = Decoder(65_536, TimeLimits(86_400_000, TIME_MS_MIN))
    records, events, faults, _ = decoder.decode([record(i, v) for i, v in enumerate(values)])
    answered = sorted([r.offset for r in records] + [fault.record.offset for fault in faults])
    assert answered == list(range(len(values)))
    assert len(records) == len(events)


@given(st.text(max_size=200) | json_values.map(json.dumps))
def test_any_text_is_a_spec_or_refused_in_a_sentence(text: str) -> None:
    """Never with anything but FeatureSpecError."""
    with contextlib.suppress(FeatureSpecError):
        parse_spec(text)


@pytest.mark.parametrize(
    "parse", [(parse_spec, FeatureSpecError), (parse_source, SourceSpecError), (parse_policy, PolicyError)]
)
@pytest.mark.parametrize(
    "tag", ["!!bool x", "!!timestamp x", "!!int x", "!!float x", "!!binary x", "!foo x", "!!map x", "!!seq x"]
)
def test_a_tag_that_its_value_does_not_fit_is_refused_in_a_sentence(parse: Any, tag: str) -> None:
    """The library raises whatever its constructors happen to."""
    read, error = parse
    for text in (f"a: {tag}", f"{tag}: 1", f"- {tag}"):
        with pytest.raises(error):
            read(text)


def test_aliases_that_stand_for_more_values_than_there_is_memory_are_refused_at_once() -> None:
    """Nine lines for a thousand million."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    with pytest.raises(FeatureSpecError, match="its aliases make more than 200,000 values; write fewer"):
        parse_spec("\n".join(lines))


CIRCLES = ["&a [*a]", "a: &a [1]\nb: *a\n"]
DEEP = ["[" * 5000, "{a: " * 3000, "- " * 5000]
ODD = ["\u0085", "\x00", "2001-13-45", "2001-01-01: 1", f"version: {'9' * 5000}"]


@pytest.mark.parametrize("text", [*CIRCLES, *DEEP, *ODD], ids=lambda text: ascii(text[:12]))
def test_a_spec_that_is_deep_or_goes_round_in_circles_is_refused(text: str) -> None:
    """YAML can do both."""
    with pytest.raises(FeatureSpecError):
        parse_spec(text)


def test_thousands_of_spoiled_payments_and_specs_are_answered_once_and_told_to_nobody() -> None:
    """The short version of `make fuzz`: decoder, fold, model and encoder as a scorer has them."""
    findings = fuzz(10_000, seed=1)
    assert findings.problems == []
    assert (findings.graphs, findings.records) == (10_000, 10_000 * len(TOPICS))
    assert 0.1 < findings.records_refused / findings.records < 0.9
    assert findings.graphs_accepted > 100
    assert findings.edges.keys() == KINDS.keys()
    assert all(
        findings.edges_refused[name] < findings.edges[name] for name in ("document", "asked", "converted", "condition")
    )
    assert findings.edges_refused["document"] > 0
    assert findings.scores > 1000
    assert findings.dead_letters > 1000
    assert set(findings.reasons) >= {"empty", "undecodable", "schema", "too_deep", "card_number", "duplicate"}


def test_each_input_of_a_long_run_is_drawn_by_a_seed_that_no_other_shard_has() -> None:
    """Whatever the number of processes, and of another run's seed neither."""
    drawn = [*shards(2 * SHARD_INPUTS + 5, seed=1), *shards(1_000_000, seed=2)]
    assert [size for size, _ in drawn[:3]] == [SHARD_INPUTS, SHARD_INPUTS, 5]
    assert sum(size for size, _ in drawn[3:]) == 1_000_000
    assert len({seed for _, seed in drawn}) == len(drawn)


async def test_spoiled_payments_on_the_stream_stop_no_partition_and_reach_no_log(stream: Stream) -> None:
    """The same through a real broker and a real scorer."""
    draw = random.Random(2)
    scorer = stream.scorer(ASSAY_DEAD_LETTER_SHARE_MAX="1", ASSAY_LOG_LEVEL="DEBUG")
    await stream.send([spoiled(draw) for _ in range(3000)])
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert (verdict.inputs, verdict.lag) == (3000, 0)
    assert SECRET not in scorer.log()
    assert all(SECRET.encode() not in letter.value for letter in await stream.read("dead-letters"))
