"""Conditions mean what they mean in SQL: DuckDB is asked the same."""

import functools
from collections.abc import Callable
from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.policy.program import Program
from schemas.policy import Policy, Rule
from tests.models.policy.columns import COLUMNS, KNOWN, batch, numbers

WORDS = ["", "a", "b", "ab", "B", "é", "ba_", "z"]
NUMBERS = [-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 1000000.0]

Row = tuple[float | None, float | None, str | None, str | None, bool | None, bool | None]
row = st.tuples(
    *(st.none() | st.sampled_from(NUMBERS) for _ in range(2)),
    *(st.none() | st.sampled_from(WORDS) for _ in range(2)),
    *(st.none() | st.booleans() for _ in range(2)),
)


def quoted(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def operand(kind: str) -> Callable[[Any], str]:
    return lambda value: quoted(value) if kind == "text" else f"{value:g}" if value >= 0 else f"({value:g})"


def case(condition: str, one: str, other: str | None) -> str:
    return f"CASE WHEN {condition} THEN {one}{f' ELSE {other}' if other else ''} END"


SIGNS = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
NOT = st.sampled_from(["", "NOT "])
PATTERNS = st.sampled_from(["a%", "%b", "%a%", "_", "a_", "%", "", "b", "%_%", "é%"])
DEPTH = 3


def several(parts: Any) -> Any:
    return st.lists(parts, min_size=2, max_size=3).map(lambda found: f"COALESCE({', '.join(found)})")


@functools.cache
def number(depth: int) -> Any:
    plain = st.sampled_from(["number", "other_number"]) | st.sampled_from(NUMBERS).map(operand("number"))
    if depth == 0:
        return plain
    inner = number(depth - 1)
    return st.one_of(
        plain,
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda found: f"ABS({found})"),
        inner.map(lambda found: f"(-{found})"),
        several(inner),
        st.builds(case, condition(depth - 1), inner, st.none() | inner),
    )


@functools.cache
def text(depth: int) -> Any:
    plain = st.sampled_from(["word", "other_word"]) | st.sampled_from(WORDS).map(quoted)
    if depth == 0:
        return plain
    inner = text(depth - 1)
    return st.one_of(plain, several(inner), st.builds(case, condition(depth - 1), inner, st.none() | inner))


def compared(kind: Any) -> Any:
    return st.tuples(kind, SIGNS, kind).map(lambda t: f"({t[0]} {t[1]} {t[2]})")


def within(kind: Any, constants: list[Any], name: str) -> Any:
    values = st.lists(st.sampled_from(constants).map(operand(name)), min_size=1, max_size=10)
    return st.tuples(kind, NOT, values).map(lambda t: f"({t[0]} {t[1]}IN ({', '.join(t[2])}))")


def between(kind: Any) -> Any:
    return st.tuples(kind, NOT, kind, kind).map(lambda t: f"({t[0]} {t[1]}BETWEEN {t[2]} AND {t[3]})")


@functools.cache
def condition(depth: int) -> Any:
    plain = st.sampled_from(["flag", "other_flag", "TRUE", "FALSE"])
    if depth == 0:
        return st.one_of(plain, compared(number(0)), compared(text(0)))
    inner, numeric, words = condition(depth - 1), number(depth - 1), text(depth - 1)
    return st.one_of(
        plain,
        compared(numeric),
        compared(words),
        within(numeric, NUMBERS, "number"),
        within(words, WORDS, "text"),
        between(numeric),
        between(words),
        st.tuples(words, NOT, PATTERNS).map(lambda t: f"({t[0]} {t[1]}LIKE {quoted(t[2])})"),
        st.tuples(st.one_of(numeric, words, inner), NOT).map(lambda t: f"({t[0]} IS {t[1]}NULL)"),
        st.tuples(inner, NOT, st.sampled_from(["TRUE", "FALSE"])).map(lambda t: f"({t[0]} IS {t[1]}{t[2]})"),
        st.tuples(inner, st.sampled_from(["AND", "OR", "=", "<>"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda found: f"(NOT {found})"),
        several(inner),
        st.builds(case, inner, inner, st.none() | inner),
    )


ORACLE = duckdb.connect()
ORACLE.execute("SET ieee_floating_point_ops = false")  # a quotient by zero is NULL, as here
ORACLE.execute("SET error_on_division_by_zero = false")
ORACLE.execute("SET threads = 1")


def asked_of_duckdb(expression: str, rows: list[Row]) -> list[bool]:
    ORACLE.execute(
        "CREATE OR REPLACE TABLE t (place INT, number DOUBLE, other_number DOUBLE, word VARCHAR, other_word VARCHAR, "
        "flag BOOLEAN, other_flag BOOLEAN)"
    )
    if rows:
        ORACLE.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", [(i, *r) for i, r in enumerate(rows)])
    found = ORACLE.execute(f"SELECT ({expression}) IS TRUE FROM t ORDER BY place").fetchall()  # noqa: S608
    return [held for (held,) in found]


def asked_of_us(expression: str, rows: list[Row]) -> list[bool]:
    return all_asked_of_us([expression], rows)[0]


def all_asked_of_us(expressions: list[str], rows: list[Row]) -> list[list[bool]]:
    columns: dict[str, Any] = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    columns = {name: columns.get(name, []) for name in COLUMNS}
    given_columns = {n: v if "word" in n else numbers(v) for n, v in columns.items()}
    rules = tuple(
        Rule(name=f"asked_{number}", words="-", condition=expression, action="review", owner="-")
        for number, expression in enumerate(expressions)
    )
    policy = Policy(name="oracle", version=1, rules=rules)
    held: list[list[bool]] = Program(policy, KNOWN).held(batch(len(rows), given_columns)).tolist()
    return held


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition(DEPTH).filter(lambda text: len(text) < 2000), st.lists(row, max_size=12))
def test_a_condition_holds_where_duckdb_finds_it_true(expression: str, rows: list[Row]) -> None:
    """Three-valued logic, missing values, division by zero, collation, casts of nothing, and no row at all."""
    assert asked_of_us(expression, rows) == asked_of_duckdb(expression, rows)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(condition(2).filter(lambda text: len(text) < 600), min_size=2, max_size=6), st.lists(row, max_size=12))
def test_conditions_whose_steps_run_together_hold_where_each_alone_does(
    expressions: list[str], rows: list[Row]
) -> None:
    """What several rules have in common is one row of a matrix, and comparisons of one column are one operation."""
    assert all_asked_of_us(expressions, rows) == [asked_of_duckdb(expression, rows) for expression in expressions]


def test_nothing_that_is_no_finite_number_makes_a_comparison_true() -> None:
    """Infinity of an overflow is missing, as a quotient by zero is, and so is what is made of it."""
    rows: list[Row] = [(1e300, 0.0, None, None, None, None)]
    for expression in (
        "number * number > 0",
        "number / other_number > 0",
        "0 / other_number = 0",
        "number * number <> 1",
    ):
        assert asked_of_us(expression, rows) == [False]
        assert asked_of_us(f"({expression}) IS NULL", rows) == [True]
