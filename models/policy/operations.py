"""The operations that conditions are compiled to. Each works on a whole batch and changes none of its arguments.

Numbers are float64[n], NaN where one is missing; texts are lists of n, None where one is missing. Three-valued logic needs no
third value: of each condition the compiler asks where it is true, or where it is false. A comparison with a missing value is
neither.
"""

import operator
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

Truth = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Texts = Sequence[str | None]

BATCH = 0
"""The register that holds the batch itself."""

ARRAY_CHARACTERS_MAX = 200
NUL, NO_CHARACTER = "\0", "\uffff"
BYTE_MAX = 255

EMPTY = np.zeros(0, np.bool_)

COMPARE: dict[str, Callable[..., Any]] = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
"""All are false where a side is NaN."""

_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def unequal(left: Any, right: Any) -> Any:
    """Where both are there and differ."""
    return np.less(left, right) | np.greater(left, right)


def finite(values: Any) -> Any:
    """An arithmetic result: what is no finite number is missing."""
    sound = np.isfinite(values)
    return values if sound.all() else np.where(sound, values, np.nan)


def add(left: Any, right: Any) -> Any:
    """Sum."""
    return finite(np.add(left, right))


def subtract(left: Any, right: Any) -> Any:
    """Difference."""
    return finite(np.subtract(left, right))


def multiply(left: Any, right: Any) -> Any:
    """Product."""
    return finite(np.multiply(left, right))


def divide(left: Any, right: Any) -> Any:
    """Quotient; by zero it is missing."""
    return finite(np.divide(left, right))


def present(values: Any) -> Any:
    """Where numbers are there."""
    return np.equal(values, values)


def coalesce(*values: Any) -> Any:
    """The first number that is there."""
    found = values[-1]
    for value in values[-2::-1]:
        found = np.where(np.isnan(value), found, value)
    return found


def choose(*arguments: Any) -> Any:
    """CASE: conditions and numbers (or truths) in turn, then what is left."""
    found = arguments[-1]
    for place in range(len(arguments) - 3, -1, -2):
        found = np.where(arguments[place], arguments[place + 1], found)
    return found


def choose_text(length: int, *arguments: Any) -> Texts:
    """CASE of n texts: conditions and texts in turn, then what is left."""
    found = list(_spread(arguments[-1], length))
    for place in range(len(arguments) - 3, -1, -2):
        chosen = np.broadcast_to(arguments[place], length).tolist()
        values = _spread(arguments[place + 1], length)
        found = [value if here else old for here, value, old in zip(chosen, values, found, strict=True)]
    return found


def coalesce_text(length: int, *values: Any) -> Texts:
    """Of n rows the first text that is there."""
    columns = [_spread(part, length) for part in values]
    return [next((value for value in row if value is not None), None) for row in zip(*columns, strict=True)]


def text_present(values: Texts) -> Truth:
    """Where texts are there."""
    return np.array([value is not None for value in values], np.bool_)


def compare_texts(sign: str) -> Callable[[int, Any, Any], Truth]:
    """n texts in the order of their code points; false where one is missing."""
    compare = _SIGNS[sign]

    def compared(length: int, left: Any, right: Any) -> Truth:
        pairs = zip(_spread(left, length), _spread(right, length), strict=True)
        return np.array([a is not None and b is not None and compare(a, b) for a, b in pairs], np.bool_)

    return compared


def one_of_texts(words: frozenset[str], *, holds: bool) -> Callable[[Texts], Truth]:
    """Where a text is one of these, or is there and is none of them."""
    if holds:
        return lambda values: np.array([value in words for value in values], np.bool_)
    return lambda values: np.array([value is not None and value not in words for value in values], np.bool_)


def one_of_numbers(numbers: Sequence[float], *, holds: bool) -> Callable[[Any], Any]:
    """Where a number is one of these, or is there and is none of them."""
    words = np.array(sorted(set(numbers)), np.float64)
    if holds:
        return lambda values: np.isin(values, words)
    return lambda values: np.isin(values, words, invert=True) & present(values)


def strings(values: Texts) -> Any:
    """Texts as an array that LIKE searches at once, "" where one is missing; long ones as they are."""
    words = [value or "" for value in values]
    if max(map(len, words), default=0) > ARRAY_CHARACTERS_MAX:
        return values
    if NUL in "".join(words):  # an array would lose those at the end
        words = [word.replace(NUL, NO_CHARACTER) for word in words]
    return np.array(words, np.str_)


def like(pattern: str, *, holds: bool) -> Callable[[Any, Any], Any]:
    """Where a text matches a pattern with % at its ends alone, and _ anywhere; or is there and does not.

    Works on what `strings` makes, and where texts are there.
    """
    search, matches = _search(pattern), matcher(pattern)

    def found(words: Any, there: Truth) -> Truth:
        if isinstance(words, np.ndarray) and search is not None:
            matched = search(words)
        else:
            texts = words.tolist() if isinstance(words, np.ndarray) else words
            seen = {value: value is not None and matches(value) for value in set(texts)}
            matched = np.array([seen[value] for value in texts], np.bool_)
        result: Truth = matched & there if holds else ~matched & there
        return result

    return found


def _search(pattern: str) -> Callable[[Any], Any] | None:
    """The whole array at once; None where the pattern needs a closer look."""
    core = pattern.strip("%")
    if "_" in core or not core:
        return None
    if pattern.startswith("%"):
        return (lambda words: np.strings.find(words, core) >= 0) if pattern.endswith("%") else partial(_ends, core)
    return partial(_starts, core) if pattern.endswith("%") else lambda words: words == core


def _starts(core: str, words: Any) -> Any:
    return np.strings.startswith(words, core)


def _ends(core: str, words: Any) -> Any:
    return np.strings.endswith(words, core)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether one text matches. Each expression has two open ends at most: its time grows with the text, not its square."""
    core = pattern.strip("%")
    if not core and pattern:
        return lambda value: True
    text = "".join("." if sign == "_" else re.escape(sign) for sign in core)
    start, end = ".*" if pattern.startswith("%") else "", ".*" if pattern.endswith("%") else ""
    expression = re.compile(f"{start}{text}{end}", re.DOTALL)
    return lambda value: expression.fullmatch(value) is not None


class Coded:
    """A column of texts as small numbers, by the words that conditions compare it with: 0 missing, 1 any other word."""

    def __init__(self) -> None:
        self.codes: dict[str | None, int] = {None: 0}

    def code(self, word: str) -> int:
        """The number of a word."""
        return self.codes.setdefault(word, len(self.codes) + 1)

    def __call__(self, values: Texts) -> NDArray[Any]:
        """The numbers of a batch's texts."""
        codes = map(self.codes.get, values, repeat(1))
        if len(self.codes) < BYTE_MAX:
            return np.frombuffer(bytes(codes), np.uint8)
        return np.array(list(codes), np.intp)


class Lookup:
    """Where a coded column holds one of some words, or holds another one."""

    def __init__(self, coded: Coded, words: frozenset[str], *, holds: bool) -> None:
        self._coded, self._holds = coded, holds
        self._places = [coded.code(word) for word in sorted(words)]
        self.table: Truth = EMPTY
        """bool[codes]: whether it holds of each."""

    def finish(self) -> None:
        """Once every word of the column has its number."""
        self.table = np.full(len(self._coded.codes) + 1, not self._holds, np.bool_)
        self.table[self._places] = self._holds
        self.table[0] = False

    def __call__(self, codes: NDArray[Any]) -> Truth:
        """Where they are."""
        found: Truth = self.table[codes]
        return found


def _spread(part: Any, length: int) -> Sequence[str | None]:
    return part if isinstance(part, list) else [part] * length
