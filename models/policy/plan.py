"""The compiler's steps in the order in which a batch runs them: those of one kind together, as one operation on a matrix.

A hundred rules are some two hundred comparisons of a few columns with constants, look-ups of coded words, and as many ANDs. Of
a small batch an array operation costs little but its call, so one call for all of a kind is what makes rules cheap.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.policy.operations import BATCH, COMPARE, Lookup

Truth = NDArray[np.bool_]
JOINS: dict[str, Callable[..., Any]] = {"&": np.logical_and, "|": np.logical_or}

SPARSE = 4
"""Where at most one value in so many is a word that is looked up, the others are filled in at once."""

OTHER_WORD = 1
"""The code of a word that no condition compares with."""


class Step(NamedTuple):
    """One operation, and the registers that it reads. Its result is the next register. key: what it does, equal for equals."""

    key: Any
    work: Callable[..., Any]
    reads: tuple[int, ...]


class _Operation(Protocol):
    def __call__(self, registers: list[Any], truths: Truth) -> None:
        """Work on what is in registers and truths, bool[rows, n], and write there."""


class _Single:
    """One step. row: of `truths`, where something reads it there."""

    def __init__(self, register: int, step: Step, row: int | None) -> None:
        self._register, self._work, self._reads, self._row = register, step.work, step.reads, row

    def __call__(self, registers: list[Any], truths: Truth) -> None:
        found = registers[self._register] = self._work(*[registers[place] for place in self._reads])
        if self._row is not None:
            truths[self._row] = found


class _Compared:
    """Comparisons of one column with constants: float64[k, 1]."""

    def __init__(self, sign: str, column: int, constants: Sequence[Any], rows: slice) -> None:
        self._compare, self._column, self._rows = COMPARE[sign], column, rows
        self._constants = np.array(constants, np.float64).reshape(-1, 1)

    def __call__(self, registers: list[Any], truths: Truth) -> None:
        self._compare(registers[self._column], self._constants, out=truths[self._rows])


class _LookedUp:
    """Look-ups of one coded column: a table each, bool[k, codes]."""

    def __init__(self, codes: int, lookups: Sequence[Lookup], rows: slice) -> None:
        self._codes, self._rows = codes, rows
        self._tables = np.stack([lookup.table for lookup in lookups])
        self._others = self._tables[:, OTHER_WORD : OTHER_WORD + 1]

    def __call__(self, registers: list[Any], truths: Truth) -> None:
        codes, found = registers[self._codes], truths[self._rows]
        places = np.flatnonzero(codes != OTHER_WORD)
        if len(places) * SPARSE > len(codes):
            np.take(self._tables, codes.astype(np.intp), axis=1, out=found, mode="clip")
            return
        found[:] = self._others
        if len(places):
            found[:, places] = self._tables[:, codes[places]]


class _Joined:
    """ANDs, or ORs, of two rows each."""

    def __init__(self, sign: str, left: Sequence[int], right: Sequence[int], rows: slice) -> None:
        self._join, self._rows = JOINS[sign], rows
        self._left, self._right = np.array(left, np.intp), np.array(right, np.intp)

    def __call__(self, registers: list[Any], truths: Truth) -> None:
        self._join(truths.take(self._left, axis=0), truths.take(self._right, axis=0), out=truths[self._rows])


class _Shown:
    """Rows that single steps read."""

    def __init__(self, places: Sequence[tuple[int, int]]) -> None:
        self._places = places

    def __call__(self, registers: list[Any], truths: Truth) -> None:
        for register, row in self._places:
            registers[register] = truths[row]


class Plan:
    """What a batch runs. Nothing is kept between batches."""

    def __init__(self, steps: Sequence[Step], constants: Mapping[int, Any], outputs: Sequence[int]) -> None:
        """steps: the first makes register 1; register 0 is the batch. constants: registers that are the same in every batch.

        outputs: registers of conditions, in the order in which `run` gives them.
        """
        self._start = [constants.get(register) for register in range(len(steps) + 1)]
        groups = _groups(steps, constants)
        rows, self._rows = _row_of_each(groups, steps, outputs)
        self._fixed = [(row, constants[register]) for register, row in rows.items() if register in constants]
        self._outputs = np.array([rows[register] for register in outputs], np.intp)
        read = {place for (kind, *_), members in groups if kind == "single" for place in steps[members[0] - 1].reads}
        self._operations: list[_Operation] = []
        for group, members in groups:
            made = [steps[register - 1] for register in members]
            first = rows.get(members[0])
            within = slice(0, 0) if first is None else slice(first, first + len(members))
            match group:
                case ("compare", sign, column):
                    values = [constants[step.reads[1]] for step in made]
                    self._operations.append(_Compared(sign, column, values, within))
                case ("lookup", codes):
                    self._operations.append(_LookedUp(codes, [step.work for step in made], within))  # type: ignore[misc]
                case ("join", sign):
                    left, right = ([rows[step.reads[side]] for step in made] for side in (0, 1))
                    self._operations.append(_Joined(sign, left, right, within))
                case _:
                    self._operations.append(_Single(members[0], made[0], first))
                    continue
            shown = [(register, rows[register]) for register in members if register in read]
            if shown:
                self._operations.append(_Shown(shown))

    def run(self, batch: Any) -> Truth:
        """bool[outputs, n]: where each condition is true."""
        truths = np.empty((self._rows, len(batch)), np.bool_)
        for row, value in self._fixed:
            truths[row] = value
        registers: list[Any] = self._start.copy()
        registers[BATCH] = batch
        for operation in self._operations:
            operation(registers, truths)
        found: Truth = truths.take(self._outputs, axis=0)
        return found


def _groups(steps: Sequence[Step], constants: Mapping[int, Any]) -> list[tuple[tuple[Any, ...], list[int]]]:
    """Registers by what makes them, in an order in which each is behind those that it reads."""
    levels = [0] * (len(steps) + 1)
    found: dict[tuple[int, tuple[Any, ...]], list[int]] = {}
    for register, step in enumerate(steps, start=1):
        if register in constants:
            continue
        levels[register] = 1 + max(levels[place] for place in step.reads)
        found.setdefault((levels[register], _kind(register, step, constants)), []).append(register)
    return [(group, members) for (_, group), members in sorted(found.items(), key=lambda item: item[0][0])]


def _kind(register: int, step: Step, constants: Mapping[int, Any]) -> tuple[Any, ...]:
    if isinstance(step.work, Lookup):
        return "lookup", step.reads[0]
    if isinstance(step.key, str) and step.key in JOINS:
        return "join", step.key
    if isinstance(step.key, str) and step.key in COMPARE and step.reads[1] in constants:
        return "compare", step.key, step.reads[0]
    return "single", register


def _row_of_each(
    groups: Sequence[tuple[tuple[Any, ...], list[int]]], steps: Sequence[Step], outputs: Sequence[int]
) -> tuple[dict[int, int], int]:
    """The row of `truths` of each register that has one, those of a group together; and how many rows there are."""
    joined = {
        place for (kind, *_), members in groups if kind == "join" for one in members for place in steps[one - 1].reads
    }
    grouped = [register for (kind, *_), members in groups if kind != "single" for register in members]
    rows = {register: row for row, register in enumerate(grouped)}
    for register in sorted(joined | set(outputs)):
        rows.setdefault(register, len(rows))
    return rows, len(rows)
