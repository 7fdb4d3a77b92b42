"""What a page is made of: sections, figures and tables, and numbers as they are written."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

NORMAL_95 = 1.96

NONE = "n/a"
"""A figure that does not apply."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are text. The first column names the row. marked: the active row, if one is. left: columns of words."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None
    left: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot, one sentence on what it says, and its key figures."""

    title: str
    says: str
    svg: Markup
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer. id: its anchor. small: figures as small multiples."""

    id: str
    title: str
    says: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    small: tuple[Figure, ...] = ()
    html: Markup | None = None
    """Of an earlier report, as it is there: what does not depend on the thresholds."""


def percent(share: float | None, decimals: int = 1) -> str:
    """A share of 1 in percent."""
    return NONE if share is None else f"{share:.{decimals}%}"


def figure(value: float | None, decimals: int = 3) -> str:
    """A number with fixed decimals."""
    return NONE if value is None else f"{value:.{decimals}f}"


def count(number: float) -> str:
    """A whole number with separated thousands."""
    return f"{number:,.0f}"


def interval_words(part: int, whole: int) -> str:
    """`14 of 14, 95 % interval 78-100 %`: Wilson's interval (1927), which holds for few and for all."""
    if whole == 0:
        return "0 of 0"
    z2, share = NORMAL_95**2, part / whole
    middle = (share + z2 / (2 * whole)) / (1 + z2 / whole)
    half = NORMAL_95 * (share * (1 - share) / whole + z2 / (4 * whole * whole)) ** 0.5 / (1 + z2 / whole)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return f"{count(part)} of {count(whole)}, 95 % interval {100 * low:.0f}-{100 * high:.0f} %"


def of_hundred(share: float) -> str:
    """`80 of 100`; small shares of more: `27 of 10,000`."""
    for whole in (100, 1_000, 10_000, 100_000):
        if share * whole >= 10 or share == 0:
            break
    return f"{share * whole:.0f} of {whole:,}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
