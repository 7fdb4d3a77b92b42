"""A condition's text to a tree that is known to be harmless: parsed by sqlglot, every node on a list of what is allowed.

An error knows its place in the text, so that its writer sees the word that is meant.
"""

import functools
import logging
import math
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from models.policy.known import GROUPS, Column, Kind, Known

logging.getLogger("sqlglot").setLevel(logging.ERROR)
"""It warns in a condition's own words of what it cannot read; what is wrong with a condition is ours to say."""

DEPTH_MAX = 32
"""Expressions within each other; AND and OR of many conditions count as one level."""

NODES_MAX = 1_000
TEXT_CHARACTERS_MAX = 200
INTEGER_MAX = 2**53

REMEMBERED_MAX = 2_000
"""Conditions whose trees are kept: the next version of a policy has most of them, and a millisecond each is saved."""

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_TWO = frozenset({"this", "expression"})
ALLOWED: dict[type[exp.Expr], frozenset[str]] = {
    **dict.fromkeys((exp.And, exp.Or, *COMPARISONS, *ARITHMETIC), _TWO),
    exp.Not: frozenset({"this"}),
    exp.Paren: frozenset({"this"}),
    exp.Neg: frozenset({"this"}),
    exp.Abs: frozenset({"this"}),
    exp.In: frozenset({"this", "expressions", "field"}),
    exp.List: frozenset({"expressions"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Is: _TWO,
    exp.Null: frozenset(),
    exp.Boolean: frozenset({"this"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.Coalesce: frozenset({"this", "expressions"}),
    exp.Case: frozenset({"ifs", "default"}),
    exp.If: frozenset({"this", "true"}),
}
"""Node -> the parts that it may have."""

LANGUAGE = "AND OR NOT, = <> < <= > >=, IN, BETWEEN, IS NULL, LIKE, + - * /, ABS, COALESCE, CASE WHEN, LIST('name')"


class ConditionError(ValueError):
    """A condition that cannot be used: what is wrong, and where in its text (first and last character, from 0)."""

    def __init__(self, what: str, span: tuple[int, int]) -> None:
        super().__init__(what)
        self.what, self.span = what, span


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def parse(text: str) -> exp.Expr:
    """The tree of a condition. Raises ConditionError."""
    whole = 0, max(0, len(text) - 1)
    try:
        tree = sqlglot.parse_one(text)
    except ParseError as error:
        raise _unread(error, text) from None
    except TokenError:
        raise ConditionError("a quote is opened and not closed; close it", whole) from None
    except RecursionError:
        raise ConditionError(f"it is nested more than {DEPTH_MAX} levels deep; write it flatter", whole) from None
    except SqlglotError as error:
        raise ConditionError(f"it is not SQL ({type(error).__name__}); correct it", whole) from None
    _check_size(tree, whole)
    for node in tree.walk():
        _check_node(node, text)
    return tree


def _unread(error: ParseError, text: str) -> ConditionError:
    found = error.errors[0] if error.errors else {}
    word, start = found.get("highlight") or "", len(found.get("start_context") or "")
    place = text.find(word, max(0, start - 1)) if word else -1
    if place < 0:
        place, word = 0, text
    described = str(found.get("description", ""))
    if "missing" in described:
        what = f"something is missing behind {word!r}; complete it"
    elif "Expecting )" in described:
        what = "a parenthesis is opened and not closed; close it"
    else:
        what = f"from {word!r} on it is not SQL; correct it"
    return ConditionError(what, (place, place + max(0, len(word) - 1)))


def _check_size(tree: exp.Expr, whole: tuple[int, int]) -> None:
    waiting, nodes = [(tree, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        nodes += 1
        if depth > DEPTH_MAX:
            raise ConditionError(f"it is nested more than {DEPTH_MAX} levels deep; write it flatter", whole)
        if nodes > NODES_MAX:
            raise ConditionError(f"it has more than {NODES_MAX} parts; make several rules, or a list, of it", whole)
        inner = node.flatten() if isinstance(node, exp.And | exp.Or) else node.iter_expressions()
        waiting += [(child, depth + 1) for child in inner]


def _check_node(node: exp.Expr, text: str) -> None:
    allowed = ALLOWED.get(type(node))
    if isinstance(node, exp.If) and not isinstance(node.parent, exp.Case):
        allowed = None
    if isinstance(node, exp.List) and node.arg_key != "field":
        raise ConditionError("LIST stands behind IN alone; write for example device IN LIST('blocked')", span(node))
    if allowed is None:
        raise ConditionError(f"{_called(node)} is not part of the language of rules, which is {LANGUAGE}", span(node))
    extra = [name for name, value in node.args.items() if name not in allowed and value]
    if extra:
        raise ConditionError(
            f"{_called(node)} with {extra[0].upper()} is not part of the language of rules", span(node)
        )


def _called(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function {str(node.this).upper()}"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name()}"
    if isinstance(node, exp.Block):
        return "a second statement"
    return {"Dot": "a name of several parts", "DPipe": "||", "Mod": "%"}.get(
        type(node).__name__, type(node).__name__.upper()
    )


def span(node: exp.Expr) -> tuple[int, int]:
    """First and last character of the names and constants in it."""
    places = [found.meta for found in node.walk() if "start" in found.meta]
    if not places:
        return span(node.parent) if node.parent is not None else (0, 0)
    return min(place["start"] for place in places), max(place["end"] for place in places)


def bare(node: exp.Expr) -> exp.Expr:
    """What is inside parentheses."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


class Checker:
    """Types of expressions, by what is known."""

    def __init__(self, known: Known, lists: tuple[str, ...]) -> None:
        self._known, self._lists = known, lists
        self._kinds: dict[int, Kind] = {}

    def condition(self, tree: exp.Expr) -> None:
        """Raises ConditionError where it is not one whose parts fit together."""
        self._kinds.clear()
        kind = self.kind(tree)
        if kind != "boolean":
            raise ConditionError(f"it is a {kind}, and must be true or false; compare it with something", span(tree))

    def kind(self, node: exp.Expr) -> Kind:
        """Type of an expression. Raises ConditionError."""
        node = bare(node)
        found = self._kinds.get(id(node))
        if found is None:
            found = self._kinds[id(node)] = self._kind(node)
        return found

    def column(self, node: exp.Expr) -> Column:
        """What a name stands for. Raises ConditionError."""
        name, group = node.this.name, node.args.get("table")
        found = self._known.find(name, group.name if group is not None else None)
        if found is None:
            raise ConditionError(self._unknown(name, group.name if group is not None else None), span(node))
        clash = None if group is not None else self._known.clash(name)
        if clash is not None:
            choices = " or ".join(f"{one}.{name}" for one in clash)
            raise ConditionError(
                f"{name} is the name of an {clash[0]} and of a {clash[1]}; write {choices}", span(node)
            )
        return found

    def _unknown(self, name: str, group: str | None) -> str:
        near = self._known.nearest(name)
        hint = f"; did you mean {near}?" if near else ""
        if group is not None and group not in GROUPS:
            return f"{group}.{name} is unknown{hint} Before a point stand {', '.join(GROUPS)}, or a place's name"
        full = name if group is None else f"{group}.{name}"
        return f"{full} is unknown{hint}"

    def _kind(self, node: exp.Expr) -> Kind:
        match node:
            case exp.Column():
                return self.column(node).kind
            case exp.Literal():
                return _literal(node)
            case exp.Boolean():
                return "boolean"
            case exp.Null():
                raise ConditionError("a comparison with NULL is never true; write IS NULL or IS NOT NULL", span(node))
            case exp.And() | exp.Or():
                for part in node.flatten():
                    self._need(part, "boolean", f"{type(node).__name__.upper()} joins conditions")
                return "boolean"
            case exp.Not():
                self._need(node.this, "boolean", "NOT turns a condition round")
                return "boolean"
            case exp.Neg() | exp.Abs():
                self._need(node.this, "number", "ABS and - are of numbers")
                return "number"
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Div():
                for part in (node.this, node.expression):
                    self._need(part, "number", f"{ARITHMETIC[type(node)]} is of numbers")
                return "number"
            case exp.Coalesce():
                return self._same((node.this, *node.expressions))
            case exp.Case():
                return self._case(node)
        return self._predicate(node)

    def _predicate(self, node: exp.Expr) -> Kind:
        match node:
            case exp.Between():
                if self._same((node.this, node.args["low"], node.args["high"])) == "boolean":
                    raise ConditionError("BETWEEN is of numbers and texts", span(node))
            case exp.Is():
                self._is(node)
            case exp.In():
                self._in(node)
            case exp.Like():
                self._like(node)
            case _:
                kind = self._same((node.this, node.expression))
                if kind == "boolean" and not isinstance(node, exp.EQ | exp.NEQ):
                    raise ConditionError("true and false have no order; compare them with = or <>", span(node))
        return "boolean"

    def _is(self, node: exp.Expr) -> None:
        to = bare(node.expression)
        if isinstance(to, exp.Boolean):
            self._need(node.this, "boolean", "IS TRUE and IS FALSE are of conditions")
        elif isinstance(to, exp.Null):
            self.kind(node.this)
        else:
            raise ConditionError("behind IS stands NULL, TRUE or FALSE, with or without NOT", span(node))

    def _in(self, node: exp.Expr) -> None:
        asked = node.args.get("field")
        if asked is None:
            if not node.expressions:
                raise ConditionError("IN needs at least one value; write for example IN ('DE', 'FR')", span(node))
            for value in node.expressions:
                if not isinstance(_unsigned(value), exp.Literal):
                    raise ConditionError("behind IN stand constants, or LIST('name')", span(value))
            if self._same((node.this, *node.expressions)) == "boolean":
                raise ConditionError("IN is of numbers and texts", span(node))
            return
        if not isinstance(asked, exp.List):
            raise ConditionError("behind IN stand constants in parentheses, or LIST('name')", span(node))
        names = asked.expressions
        if len(names) != 1 or not isinstance(names[0], exp.Literal) or not names[0].is_string:
            raise ConditionError("LIST takes one name in quotes; write for example LIST('blocked')", span(node))
        if names[0].this not in self._lists:
            named = ", ".join(self._lists) or "none"
            raise ConditionError(
                f"the list {names[0].this!r} is not one of the policy's ({named}); add it under lists", span(names[0])
            )
        column = bare(node.this)
        if not isinstance(column, exp.Column) or self.column(column).kind == "boolean":
            raise ConditionError("a list is asked about a field or an attribute, of texts or numbers", span(node))

    def _like(self, node: exp.Expr) -> None:
        self._need(node.this, "text", "LIKE is of texts")
        pattern = bare(node.expression)
        if not isinstance(pattern, exp.Literal) or not pattern.is_string:
            raise ConditionError("behind LIKE stands a text in quotes", span(node))
        if "%" in str(pattern.this).strip("%"):
            raise ConditionError(
                "in LIKE, % stands at the beginning and the end alone; use two conditions", span(pattern)
            )
        self.kind(pattern)

    def _case(self, node: exp.Expr) -> Kind:
        for branch in node.args["ifs"]:
            self._need(branch.this, "boolean", "behind WHEN stands a condition")
        results = [branch.args["true"] for branch in node.args["ifs"]]
        default = node.args.get("default")
        return self._same((*results, *([default] if default is not None else [])))

    def _need(self, node: exp.Expr, kind: Kind, why: str) -> None:
        found = self.kind(node)
        if found != kind:
            raise ConditionError(f"{why}, and this is a {found}", span(node))

    def _same(self, nodes: tuple[exp.Expr, ...]) -> Kind:
        """The type that all have."""
        first = self.kind(nodes[0])
        for node in nodes[1:]:
            kind = self.kind(node)
            if kind != first:
                hint = self._hint(nodes[0], first, node, kind)
                where = min(span(nodes[0])[0], span(node)[0]), max(span(nodes[0])[1], span(node)[1])
                raise ConditionError(f"a {first} and a {kind} are held against each other{hint}", where)
        return first

    def _hint(self, one: exp.Expr, first: Kind, other: exp.Expr, second: Kind) -> str:
        for literal, kind in ((bare(other), first), (bare(one), second)):
            if isinstance(literal, exp.Literal) and kind == "text":
                return f"; write '{literal.this}' in quotes"
            if isinstance(literal, exp.Literal) and kind == "number":
                return f"; write {literal.this} without quotes" if _is_number(str(literal.this)) else ""
            if isinstance(literal, exp.Literal) and kind == "boolean":
                return "; write true or false"
        return ""


def _unsigned(node: exp.Expr) -> exp.Expr:
    node = bare(node)
    return bare(node.this) if isinstance(node, exp.Neg) else node


def _literal(node: exp.Expr) -> Kind:
    text = str(node.this)
    if node.is_string:
        if len(text) > TEXT_CHARACTERS_MAX:
            raise ConditionError(f"a text has at most {TEXT_CHARACTERS_MAX} characters", span(node))
        if any(sign < " " or sign == "\uffff" for sign in text):
            raise ConditionError("a text has no control characters; remove them", span(node))
        return "text"
    if not _is_number(text):
        raise ConditionError(f"{text} is no number that can be held exactly; write it in another way", span(node))
    return "number"


def _is_number(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and (abs(value) <= INTEGER_MAX or not text.isdigit())


def literals(nodes: Iterator[exp.Expr]) -> list[float]:
    """Values of numeric constants, signs included."""
    return [
        -float(bare(bare(node).this).this) if isinstance(bare(node), exp.Neg) else float(bare(node).this)
        for node in nodes
    ]
