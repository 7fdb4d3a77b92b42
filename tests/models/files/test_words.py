"""Months, yes and no, currencies and a spreadsheet's days: read where they are one thing, asked for where not."""

from datetime import UTC, datetime

import polars as pl
import pytest

from models.files.flags import read_flags
from models.files.months import _WORDS, MONTHS
from models.files.numbers import read_numbers
from models.files.options import ReadOptions, TableError
from models.files.times import read_times

BERLIN = ReadOptions(time_zone="Europe/Berlin")
DAYS = ReadOptions(time_unit="excel", time_zone="UTC")


def times(values: list[str], options: ReadOptions) -> list[str | None]:
    read = read_times(pl.Series(values), "when", options, pl.int_range(2, 2 + len(values), eager=True)).ms
    return [None if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" for ms in read]


def numbers(values: list[str]) -> list[float | None]:
    lines = pl.int_range(2, 2 + len(values), eager=True)
    return read_numbers(pl.Series(values), "amount", ReadOptions(), lines)[0].to_list()


def flags(values: list[str], options: ReadOptions) -> list[bool | None]:
    return read_flags(pl.Series(values), "F", options, pl.int_range(2, 2 + len(values), eager=True)).to_list()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("3 Jan 2026 14:05", "2026-01-03 13:05:00"),
        ("03-Feb-2026 01:02:03", "2026-02-03 00:02:03"),
        ("Mar. 4, 2026", "2026-03-03 23:00:00"),
        ("3. März 2026", "2026-03-02 23:00:00"),
        ("4. Dez. 2026 10:00", "2026-12-04 09:00:00"),
        ("3 de enero de 2026", "2026-01-02 23:00:00"),
        ("1 août 2026 12:00", "2026-08-01 10:00:00"),
        ("Thu, 01 Jan 2026 00:00:00 GMT", "2026-01-01 00:00:00"),
        ("2026-Jan-02 00:00:00+02:00", "2026-01-01 22:00:00"),
        ("May 3, 2026 2:05 PM", "2026-05-03 12:05:00"),
    ],
)
def test_a_month_as_a_word_is_read(written: str, read: str) -> None:
    """In the languages whose words name one month, wherever it stands: no order is to be guessed."""
    assert times([written], BERLIN) == [read]


def test_a_word_that_is_no_month_and_a_year_of_two_digits_are_asked_for() -> None:
    """Never taken for the nearest."""
    with pytest.raises(TableError, match=r"month as a word that is not known .line 3.: write months as numbers"):
        times(["3 Jan 2026", "3 Foo 2026"], BERLIN)
    with pytest.raises(TableError, match=r"years of two digits .first in line 2."):
        times(["3-Jan-26"], BERLIN)


def test_no_word_is_two_months() -> None:
    """Else it would be a guess."""
    assert len(MONTHS) == sum(len(words) for words in _WORDS)


def test_a_spreadsheets_days_are_asked_for_and_read() -> None:
    """Their zone too, since they are local times; decimal commas and fractions are the time of day."""
    with pytest.raises(TableError, match=r"Column when .line 2. holds numbers such as a spreadsheet counts days with"):
        times(["46023", "46024.5"], ReadOptions())
    with pytest.raises(TableError, match="without a zone"):
        times(["46023"], ReadOptions(time_unit="excel"))
    assert times(["46023", "46024,5", "NA", "x"], DAYS) == ["2026-01-01 00:00:00", "2026-01-02 12:00:00", None, None]
    old = ReadOptions(time_unit="excel-1904", time_zone="UTC")
    assert times(["44561"], old) == ["2026-01-01 00:00:00"]


def test_a_sign_and_a_code_of_one_currency_are_one() -> None:
    """`$` is of many, so it is no other's."""
    assert numbers(["€ 1,50", "2,50 EUR"]) == [1.5, 2.5]
    assert numbers(["£1.00", "GBP 2.50"]) == [1.0, 2.5]
    with pytest.raises(TableError, match=r"several currencies .\$, CAD."):
        numbers(["$1", "1 CAD"])
    with pytest.raises(TableError, match="several currencies"):
        numbers(["1 €", "1 GBP"])


def test_yes_and_no_are_read_in_several_languages_and_asked_for_in_others() -> None:
    """A person's own words count before ours; an empty cell is neither."""
    assert flags(["J", "n", "Ja", "Nein", "", "1.0"], ReadOptions()) == [True, False, True, False, None, True]
    assert flags(["oui", "non"], ReadOptions()) == [True, False]
    with pytest.raises(
        TableError, match=r"F holds text in line 3, which is neither yes nor no here: say .*--word WORD=yes"
    ):
        flags(["ja", "kyllä"], ReadOptions())
    assert flags(["kyllä", "ei"], ReadOptions(yes=("Kyllä",), no=("ei",))) == [True, False]
    assert flags(["o", "1"], ReadOptions(no=("o",))) == [False, True]
    with pytest.raises(TableError, match="--word says yes and no of the same word"):
        flags(["x"], ReadOptions(yes=("x",), no=("X",)))


def test_one_cell_that_is_no_time_is_refused_alone_among_numbers() -> None:
    """Dates among numbers are another matter: the whole column is asked for."""
    assert times(["1767225600000", "x4", "1767225600000"], ReadOptions())[::2] == ["2026-01-01 00:00:00"] * 2
    assert times(["1767225600000", "x4"], ReadOptions())[1] is None
    with pytest.raises(TableError, match=r"bare numbers .first in line 2. and dates .first in line 3."):
        times(["1767225600000", "2026-01-01"], ReadOptions())
