"""Scores written from columns are the bytes of the scores one by one."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.features.index import ID_BYTES, keys_of
from models.scoring.scores import Scores
from schemas import codec
from schemas.score import OF_POLICIES, Score
from services.scorer import score_texts
from services.scorer.score_texts import FIELDS, ROWS_MIN, ScoreColumns

PLAIN, RULED = codec.record_type(Score, without=OF_POLICIES), codec.record_type(Score, OF_POLICIES)
EDGES = (
    0.0,
    -0.0,
    1e-45,
    -1e-45,
    1.17549435e-38,
    1e-7,
    1e-5,
    1e-4,
    0.1,
    1.0,
    9999999.0,
    1e15,
    1e16,
    1e17,
    3.4028235e38,
)
TIMES = (0, 9, 10, -1, -10, 10**18, -(2**63), 2**63 - 1)
ids = st.text(st.characters(exclude_characters='\\"', exclude_categories=("Cs", "Cc")), max_size=20).filter(
    lambda text: len(text.encode()) <= ID_BYTES
)
names = st.one_of(st.text(max_size=70), st.sampled_from(['"', "\\", '",', "]", "é\u2028\x7f", "\x00", "\x1f"]))
numbers = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(EDGES))
flags = st.booleans()


def rows(texts: st.SearchStrategy[str]) -> Any:
    """Some different rows: a batch repeats them."""
    times = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from(TIMES))
    return st.lists(
        st.tuples(texts, times, texts, numbers, numbers, numbers, flags, flags, flags), min_size=1, max_size=6
    )


def columns(values: Sequence[Any], model: str, of_policy: dict[str, list[Any]] | None = None) -> ScoreColumns:
    """ROWS_MIN rows and some, of these in turn."""
    values = (list(values) * ROWS_MIN)[: ROWS_MIN + len(values) - 1]
    event_ids, times, subjects, *scores, alert, late, let_through = zip(*values, strict=True)
    return ScoreColumns(
        kind=RULED if of_policy else PLAIN,
        model=model,
        ids=event_ids,
        words=keys_of(event_ids),
        time_ms=np.array(times, np.int64),
        subjects=subjects,
        subject_words=keys_of(subjects),
        scores=Scores(*(np.array(one, np.float32) for one in scores)),
        alert=np.array(alert),
        late=np.array(late),
        let_through=np.array(let_through),
        of_policy={name: (column * len(values))[: len(values)] for name, column in (of_policy or {}).items()},
    )


def one_by_one(given: ScoreColumns) -> tuple[list[bytes], list[bytes]]:
    """Values and keys of the objects: what is written of few rows."""
    return [codec.encode(score) for score in given.all()], [subject.encode() for subject in given.subjects]


def check(given: ScoreColumns) -> None:
    """The bytes of both ways are the same."""
    written = given.written()
    assert written is not None
    assert (list(written.values), list(written.keys)) == one_by_one(given)


@settings(max_examples=150)
@given(rows(ids), names)
@example(
    [("i", time, "c", *EDGES[3 * place : 3 * place + 3], True, False, True) for time in TIMES for place in range(5)],
    "m",
)
@example(
    [("a" * ID_BYTES, 1, "b" * ID_BYTES, 0.1, 0.1, 0.1, True, True, True), ("", 1, "", 0, 0, 0, False, False, False)],
    "m",
)
def test_texts_are_those_of_the_scores_one_by_one(values: Any, model: str) -> None:
    """Of all numbers, and of ids up to the length of their words; a model's name may be anything."""
    check(columns(values, model))


@given(rows(st.one_of(ids, names)), names)
@example([("id", 1, "0123456789" * 7, 0.1, 0.1, 0.1, True, True, True)], "m")
def test_ids_that_are_long_or_need_an_escape_are_left_to_the_objects(values: Any, model: str) -> None:
    """Quotes, backslashes, commas and brackets in ids never end a value early."""
    columned = columns(values, model)
    written = columned.written()
    simple = all(
        len(text.encode()) <= ID_BYTES and codec.encode(text) == b'"' + text.encode() + b'"'
        for row in values
        for text in (row[0], row[2])
    )
    assert (written is not None) == simple
    if written is not None:
        assert (list(written.values), list(written.keys)) == one_by_one(columned)


rules = st.one_of(st.just(codec.LEFT_OUT), st.lists(names, max_size=2).map(tuple))
ruled = st.tuples(
    st.sampled_from(("approve", "review")), st.sampled_from((codec.LEFT_OUT, "decline", None)), rules, rules
)


@given(st.lists(ruled, min_size=1, max_size=5), rows(ids), names, st.sampled_from([codec.LEFT_OUT, (0.25, 99.5)]))
def test_what_a_policy_says_is_behind_them(said: Any, values: Any, policy: str, thresholds: Any) -> None:
    """As the objects have it, and in their order."""
    action, withheld, held, shadow = (list(one) for one in zip(*said, strict=True))
    of_policy = {
        "policy": [policy],
        "action": action,
        "withheld_action": withheld,
        "rules": held,
        "shadow_rules": shadow,
    }
    check(columns(values, "m", {**of_policy, "thresholds": [thresholds]}))


def test_the_fields_are_those_of_every_score() -> None:
    """In their order: a field more or less stops here, and not on a topic."""
    assert PLAIN.__struct_fields__ == FIELDS
    assert RULED.__struct_fields__[: len(FIELDS)] == FIELDS


ROW: tuple[Any, ...] = ("i", 1, "c", 0.25, 0.5, 0.75, True, False, True)


@pytest.mark.parametrize("name", ["words", "time_ms", "subject_words", "alert", "late", "let_through"])
@pytest.mark.parametrize("change", [lambda column: column[1:], lambda column: np.concatenate([column, column])])
def test_columns_of_different_lengths_are_not_written(name: str, change: Callable[[Any], Any]) -> None:
    """The objects refuse them."""
    whole = columns([ROW], "m", {"policy": ["p"]})
    fields = {field: getattr(whole, field) for field in ScoreColumns.__dataclass_fields__}
    assert whole.written() is not None
    assert ScoreColumns(**{**fields, name: change(fields[name])}).written() is None
    assert ScoreColumns(**{**fields, "of_policy": {"policy": ["p"] * (ROWS_MIN - 1)}}).written() is None


def test_a_score_is_made_where_it_is_asked_for() -> None:
    """With each value in its own field."""
    scores = columns([ROW], "m")
    wanted = PLAIN(**dict(zip(FIELDS, (*ROW[:7], "m", *ROW[7:]), strict=True)))
    assert scores[3] == scores.all()[3] == wanted
    assert list(scores) == scores.all()


def test_warming_up_compiles_the_one_kind_that_batches_use() -> None:
    """Read-only columns, parts of others and narrower ones: a batch never waits for a compiler."""
    score_texts.warm()
    compiled = len(score_texts._write.signatures)
    fields = {field: getattr(columns([ROW, ROW], "m"), field) for field in ScoreColumns.__dataclass_fields__}
    for name in ("words", "time_ms", "subject_words", "alert", "late", "let_through"):
        wide = np.repeat(fields[name], 2, axis=0)[::2]
        wide.flags.writeable = False
        fields[name] = wide
    assert ScoreColumns(**fields).written() is not None
    assert len(score_texts._write.signatures) == compiled
