"""Conditions to a list of steps, each an operation on whole columns. What several conditions have in common is one step.

Of a condition the steps say where it is true, or, behind a NOT, where it is false: SQL's third value is neither.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from models.policy import operations
from models.policy.conditions import COMPARISONS, Checker, bare, literals
from models.policy.known import Column, Known
from models.policy.operations import BATCH, Coded, Lookup
from models.policy.plan import Step

STEPS_MAX = 20_000
OUTPUT_NAMES = {"id": "transaction_id", "subject": "card_id", "counterparty": "terminal_id", "time": "event_time_ms"}
"""How entries of lists name the event's own fields, as outputs do."""

CHAINED_MAX = 8
"""So many constants behind IN are compared one by one."""

ARITHMETIC: dict[type[exp.Expr], Callable[[Any, Any], Any]] = {
    exp.Add: operations.add,
    exp.Sub: operations.subtract,
    exp.Mul: operations.multiply,
    exp.Div: operations.divide,
}


class TooLargeError(ValueError):
    """More steps than STEPS_MAX."""


class Compiler:
    """Collects the steps of many conditions."""

    def __init__(self, known: Known, lists: tuple[str, ...]) -> None:
        self.checker = Checker(known, lists)
        self.steps: list[Step] = []
        self.columns: dict[str, Column] = {}
        """What the conditions read, by name."""
        self.constants: dict[int, Any] = {}
        """Registers that hold the same in every batch."""
        self._made: dict[Any, int] = {}
        self._coded: dict[int, Coded] = {}
        self._lookups: list[Lookup] = []
        self._seen: dict[tuple[int, bool], int] = {}

    def condition(self, tree: exp.Expr) -> int:
        """The register that says where it is true. Raises ConditionError, TooLargeError."""
        self.checker.condition(tree)
        self._seen.clear()
        return self._where(tree, True)

    def finish(self) -> None:
        """Once there are no more conditions."""
        for lookup in self._lookups:
            lookup.finish()

    def _step(self, key: Any, work: Callable[..., Any], *reads: int) -> int:
        name = (key, reads)
        if name not in self._made:
            if len(self.steps) >= STEPS_MAX:
                raise TooLargeError
            self.steps.append(Step(key, work, reads))
            self._made[name] = len(self.steps)  # register 0 is the batch
        return self._made[name]

    def _constant(self, value: Any) -> int:
        register = self._step(("constant", type(value).__name__, value), lambda batch: value, BATCH)
        self.constants[register] = value
        return register

    def _length(self) -> int:
        return self._step("length", len, BATCH)

    # conditions

    def _where(self, node: exp.Expr, holds: bool) -> int:
        """The register that says where a condition is true, or where it is false."""
        node = bare(node)
        place = id(node), holds
        if place not in self._seen:  # so that work does not double with each level
            self._seen[place] = self._made_where(node, holds)
        return self._seen[place]

    def _made_where(self, node: exp.Expr, holds: bool) -> int:
        match node:
            case exp.And() | exp.Or():
                return self._joined(
                    [self._where(part, holds) for part in node.flatten()], isinstance(node, exp.And) is holds
                )
            case exp.Not():
                return self._where(node.this, not holds)
            case exp.Boolean():
                return self._constant(np.bool_(bool(node.this) is holds))
            case exp.Column():
                values = self._number(node)
                return self._step("=", operations.COMPARE["="], values, self._constant(np.float64(holds)))
            case exp.Between():
                return self._between(node, holds)
            case exp.Is():
                return self._is(node, holds)
            case exp.In():
                return self._in(node, holds)
            case exp.Like():
                return self._like(node, holds is not bool(node.args.get("negate")))
            case exp.Coalesce():
                return self._first_known((node.this, *node.expressions), holds)
            case exp.Case():
                return self._chosen(node, partial(self._where, holds=holds), np.bool_(False), operations.choose)
        return self._compared(node, COMPARISONS[type(node)], holds)

    def _joined(self, parts: Sequence[int], every: bool) -> int:
        found = parts[0]
        for part in parts[1:]:
            found = (
                self._step("&", np.logical_and, found, part) if every else self._step("|", np.logical_or, found, part)
            )
        return found

    def _inverted(self, register: int) -> int:
        return self._step("not", np.logical_not, register)

    def _compared(self, node: exp.Expr, sign: str, holds: bool) -> int:
        kind = self.checker.kind(node.this)
        if kind == "boolean":
            return self._both(node, (sign == "=") is holds)
        if not holds:
            sign = operations.OPPOSITE[sign]
        if kind == "text":
            return self._texts_compared(node.this, sign, node.expression)
        left, right = self._number(node.this), self._number(node.expression)
        return self._numbers_compared(left, sign, right)

    def _numbers_compared(self, left: int, sign: str, right: int) -> int:
        if sign == "<>":
            return self._step("<>", operations.unequal, left, right)
        return self._step(sign, operations.COMPARE[sign], left, right)

    def _texts_compared(self, one: exp.Expr, sign: str, other: exp.Expr) -> int:
        left, right = bare(one), bare(other)
        if isinstance(left, exp.Literal) and sign in ("=", "<>"):
            left, right = right, left
        if sign in ("=", "<>") and isinstance(right, exp.Literal) and isinstance(left, exp.Column):
            return self._lookup(self._text(left), frozenset({str(right.this)}), sign == "=")
        work = operations.compare_texts(sign)
        return self._step(("texts", sign), work, self._length(), self._text(left), self._text(right))

    def _both(self, node: exp.Expr, same: bool) -> int:
        """Where two conditions are both known, and the same, or not."""
        one, other = node.this, node.expression
        straight = [self._where(one, True), self._where(other, same)]
        crossed = [self._where(one, False), self._where(other, not same)]
        return self._joined([self._joined(straight, True), self._joined(crossed, True)], False)

    def _between(self, node: exp.Expr, holds: bool) -> int:
        low, high = node.args["low"], node.args["high"]
        signs = (">=", "<=") if holds else ("<", ">")
        if self.checker.kind(node.this) == "text":
            parts = [self._texts_compared(node.this, sign, end) for sign, end in zip(signs, (low, high), strict=True)]
        else:
            value = self._number(node.this)
            ends = self._number(low), self._number(high)
            parts = [self._numbers_compared(value, sign, end) for sign, end in zip(signs, ends, strict=True)]
        return self._joined(parts, holds)

    def _is(self, node: exp.Expr, holds: bool) -> int:
        to = bare(node.expression)
        if isinstance(to, exp.Boolean):
            found = self._where(node.this, bool(to.this))
            return found if holds else self._inverted(found)
        there = self._present(node.this)
        return self._inverted(there) if holds else there

    def _present(self, node: exp.Expr) -> int:
        kind = self.checker.kind(node)
        if kind == "boolean":
            return self._joined([self._where(node, True), self._where(node, False)], False)
        if kind == "number":
            return self._step("present", operations.present, self._number(node))
        if isinstance(bare(node), exp.Literal):
            return self._constant(np.bool_(True))
        return self._step("text present", operations.text_present, self._text(node))

    def _in(self, node: exp.Expr, holds: bool) -> int:
        asked = node.args.get("field")
        if asked is not None:
            return self._in_list(bare(node.this), str(asked.expressions[0].this), holds)
        if self.checker.kind(node.this) == "number":
            value, numbers = self._number(node.this), literals(iter(node.expressions))
            if len(numbers) > CHAINED_MAX:
                work = operations.one_of_numbers(numbers, holds=holds)
                return self._step(("in numbers", tuple(numbers), holds), work, value)
            sign = "=" if holds else "<>"
            ends = [self._constant(np.float64(number)) for number in numbers]
            return self._joined([self._numbers_compared(value, sign, end) for end in ends], not holds)
        words = frozenset(str(bare(value).this) for value in node.expressions)
        if isinstance(bare(node.this), exp.Column):
            return self._lookup(self._text(node.this), words, holds)
        if isinstance(bare(node.this), exp.Literal):
            return self._constant(np.bool_((str(bare(node.this).this) in words) is holds))
        return self._step(("in", words, holds), operations.one_of_texts(words, holds=holds), self._text(node.this))

    def _lookup(self, column: int, words: frozenset[str], holds: bool) -> int:
        coded = self._coded.setdefault(column, Coded())
        codes = self._step("coded", coded, column)
        lookup = Lookup(coded, words, holds=holds)
        found = self._step(("lookup", words, holds), lookup, codes)
        self._lookups.append(lookup)
        return found

    def _in_list(self, node: exp.Expr, name: str, holds: bool) -> int:
        column = self.checker.column(node)
        asked = column.name if column.group == "feature" else OUTPUT_NAMES.get(str(column.column), str(column.column))
        values = self._text(node) if column.kind == "text" else self._number(node)

        def contained(batch: Any, given: Any) -> NDArray[np.bool_]:
            found: NDArray[np.bool_] = batch.lists.contains(name, asked, given, batch.events.time_ms)
            return found

        found = self._step(("list", name, asked), contained, BATCH, values)
        if holds:
            return found
        return self._joined([self._inverted(found), self._present(node)], True)

    def _like(self, node: exp.Expr, holds: bool) -> int:
        pattern = str(bare(node.expression).this)
        value = bare(node.this)
        if isinstance(value, exp.Literal):
            return self._constant(np.bool_(operations.matcher(pattern)(str(value.this)) is holds))
        text = self._text(value)
        words, there = self._step("strings", operations.strings, text), self._present(value)
        return self._step(("like", pattern, holds), operations.like(pattern, holds=holds), words, there)

    def _first_known(self, nodes: Sequence[exp.Expr], holds: bool) -> int:
        """COALESCE of conditions."""
        found = self._where(nodes[-1], holds)
        for node in nodes[-2::-1]:
            unknown = self._inverted(self._present(node))
            found = self._joined([self._where(node, holds), self._joined([unknown, found], True)], False)
        return found

    # values

    def _number(self, node: exp.Expr) -> int:
        node = bare(node)
        match node:
            case exp.Literal():
                return self._constant(np.float64(node.this))
            case exp.Column():
                return self._column(self.checker.column(node))
            case exp.Neg():
                return self._step("negative", np.negative, self._number(node.this))
            case exp.Abs():
                return self._step("abs", np.abs, self._number(node.this))
            case exp.Coalesce():
                parts = [self._number(part) for part in (node.this, *node.expressions)]
                return self._step("coalesce", operations.coalesce, *parts)
            case exp.Case():
                return self._chosen(node, self._number, np.float64(np.nan), operations.choose)
        work = ARITHMETIC[type(node)]
        return self._step(work.__name__, work, self._number(node.this), self._number(node.expression))

    def _text(self, node: exp.Expr) -> int:
        node = bare(node)
        match node:
            case exp.Literal():
                return self._constant(str(node.this))
            case exp.Coalesce():
                parts = [self._text(part) for part in (node.this, *node.expressions)]
                return self._step("coalesce text", operations.coalesce_text, self._length(), *parts)
            case exp.Case():
                return self._chosen(node, self._text, None, operations.choose_text, self._length())
        return self._column(self.checker.column(node))

    def _chosen(self, node: exp.Expr, value: Callable[[exp.Expr], int], nothing: Any, work: Any, *first: int) -> int:
        """CASE: of the branches whose condition is true the first, else the default, else nothing."""
        reads = list(first)
        for branch in node.args["ifs"]:
            reads += [self._where(branch.this, True), value(branch.args["true"])]
        default = node.args.get("default")
        reads.append(self._constant(nothing) if default is None else value(default))
        return self._step(work.__name__, work, *reads)

    def _column(self, column: Column) -> int:
        self.columns[f"{column.group}.{column.name}"] = column
        name: Any = column.column
        return self._step(("column", column.group == "feature", column.kind == "text", name), _reader(column), BATCH)


def _reader(column: Column) -> Callable[[Any], Any]:
    """What takes a column out of a batch."""
    name: Any = column.column
    if column.group == "feature":
        return lambda batch: batch.features[:, name].astype(np.float64)
    if column.group == "score":
        return lambda batch: getattr(batch, name).astype(np.float64)
    if column.kind == "text":
        return lambda batch: batch.events.column(name)
    return lambda batch: np.asarray(batch.events.column(name), np.float64)
