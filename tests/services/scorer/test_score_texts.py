"""Scores written from columns are the bytes of the scores one by one."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.score import OF_POLICIES, Score
from services.scorer.score_texts import ROWS_MIN, PlainScores, ScoreTexts

KIND = codec.record_type(Score, without=OF_POLICIES)
plain_texts = st.text(st.characters(exclude_characters='\\"', exclude_categories=("Cs", "Cc")), max_size=40)
any_texts = st.one_of(
    plain_texts, st.text(max_size=10), st.sampled_from(['"', "\\", '",', "]", ",", "[", "é\u2028", "\x00"])
)
floats = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1e-7, 5e-324, 1e300, float("nan"), float("inf")]))


def rows(texts: st.SearchStrategy[str]) -> Any:
    """Values of each field but the model."""
    flags = st.booleans()
    row = st.tuples(texts, st.integers(-(2**53), 2**53), texts, floats, floats, floats, flags, flags, flags)
    return st.lists(row, min_size=ROWS_MIN, max_size=ROWS_MIN + 20)


@settings(max_examples=100, deadline=None)
@given(rows(plain_texts), any_texts)
def test_texts_are_those_of_the_scores_one_by_one(values: Any, model: str) -> None:
    """Without an escape in an id there is no need of an object."""
    columns = list(zip(*values, strict=True))
    texts = ScoreTexts(KIND).of(model, columns)
    assert texts is not None
    assert list(texts) == list(map(codec.encode, PlainScores(KIND, model, columns)))


@settings(max_examples=100, deadline=None)
@given(rows(any_texts), any_texts)
def test_texts_with_escapes_are_right_or_left_to_the_objects(values: Any, model: str) -> None:
    """Quotes, backslashes, commas and brackets in ids never end a value early."""
    columns = list(zip(*values, strict=True))
    texts = ScoreTexts(KIND).of(model, columns)
    assert texts is None or list(texts) == list(map(codec.encode, PlainScores(KIND, model, columns)))


def test_few_rows_and_columns_of_different_lengths_have_no_texts() -> None:
    """They are written one by one, or refused there."""
    row: tuple[Any, ...] = ("i", 1, "c", 0.5, 0.5, 0.5, False, False, False)
    columns = [[value] * ROWS_MIN for value in row]
    assert ScoreTexts(KIND).of("m", columns) is not None
    assert ScoreTexts(KIND).of("m", [column[1:] for column in columns]) is None
    for place in range(1, len(columns)):
        for uneven in (columns[place][1:], columns[place] * 2):
            assert ScoreTexts(KIND).of("m", [*columns[:place], uneven, *columns[place + 1 :]]) is None


def test_a_score_is_made_where_it_is_asked_for() -> None:
    """With each value in its own field."""
    scores = PlainScores(KIND, "m", [["i"], [1], ["c"], [0.25], [0.5], [0.75], [True], [False], [True]])
    fields = {
        "transaction_id": "i",
        "event_time_ms": 1,
        "card_id": "c",
        "probability": 0.25,
        "reconstruction_error": 0.5,
    }
    fields |= {"anomaly_percentile": 0.75, "alert": True, "model": "m", "late": False, "let_through": True}
    assert list(scores) == [KIND(**fields)]
