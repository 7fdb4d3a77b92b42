"""Columns of numbers as people write them: thousands, currencies, percent, decimal commas. Read by the whole column."""

import polars as pl

from models.files.options import MISSING, ReadOptions, TableError

_SPACES = "[ \u00a0\u2009\u202f]"
_CURRENCY = r"\p{Sc}|[A-Z]{1,2}\p{Sc}|[A-Z]{3}"
_CODE_OF = {
    "\u20ac": "EUR",
    "\u00a3": "GBP",
    "\u20b9": "INR",
    "\u20a9": "KRW",
    "\u20bd": "RUB",
    "\u20ba": "TRY",
    "US$": "USD",
}
"""Signs of one currency alone; `$` and `\u00a5` are those of several."""

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_POINT = r"^[+-]?(([1-9]\d{0,2}(,\d{3})+|\d+)(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_COMMA = r"^[+-]?(([1-9]\d{0,2}(\.\d{3})+|\d+)(,\d*)?|,\d+)([eE][+-]?\d{1,3})?$"
_EITHER = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}$"
_MARKED = r"[.,]"


def is_missing(text: pl.Expr) -> pl.Expr:
    """Whether a cell of a column of numbers or times is empty, or a word for empty."""
    return text.is_null() | text.str.strip_chars().str.to_lowercase().is_in(list(MISSING))


def read_numbers(text: pl.Series, name: str, options: ReadOptions, lines: pl.Series) -> tuple[pl.Series, str | None]:
    """float64 of each cell, null where there is nothing or no number; and what was taken away, in words.

    name, lines: of the column, for sentences. Raises TableError where the column can be read in two ways.
    """
    quick = text.cast(pl.Float64, strict=False)
    if quick.null_count() == text.null_count() and quick.is_finite().all() and not _may_be_either(text, quick):
        return quick, None
    plain = text.to_frame("v").select(pl.col("v").str.strip_chars().alias("v"))["v"]
    simple = plain.str.contains(_PLAIN)
    rest = plain.filter(~simple.fill_null(True) & ~is_missing_series(plain))
    if rest.is_empty() and not (plain.str.contains(_EITHER) & simple).any():
        return _finite(plain.cast(pl.Float64, strict=False)), None
    bare, words = _bare(plain, name)
    decimal = options.decimal or _decimal(bare, name, lines)
    pattern = _POINT if decimal == "." else _COMMA
    group, mark = (",", ".") if decimal == "." else (".", ",")
    good = bare.to_frame("v").select(
        pl.when(pl.col("v").str.contains(pattern)).then(
            pl.col("v").str.replace_all(group, "", literal=True).str.replace(mark, ".", literal=True)
        )
    )["v"]
    return _finite(good.cast(pl.Float64, strict=False)), words


def _may_be_either(text: pl.Series, values: pl.Series) -> bool:
    """Whether one of these texts, which are numbers, fits _EITHER: only those of such a length are looked at."""
    size = values.abs()
    digits = (size >= 1).cast(pl.Int64) + (size >= 10) + (size >= 100)
    beyond = text.str.len_bytes().cast(pl.Int64) - digits
    suspected = text.filter((size < 1000) & beyond.is_between(4, 5))  # the mark and three digits, and perhaps a sign
    return bool(suspected.str.contains(_EITHER).any())


def is_missing_series(text: pl.Series) -> pl.Series:
    """`is_missing` of a column."""
    return text.to_frame("v").select(is_missing(pl.col("v")))["v"]


def _finite(values: pl.Series) -> pl.Series:
    """Null for what does not fit a float, such as 1e999."""
    return values.to_frame("v").select(pl.when(pl.col("v").is_finite()).then("v"))["v"]


def _bare(text: pl.Series, name: str) -> tuple[pl.Series, str | None]:
    """Without currency, percent, brackets and spaces between thousands."""
    frame = text.to_frame("v").with_columns(
        money=pl.col("v").str.extract(rf"^[(+\u2212-]?\s*({_CURRENCY})\s*[+\u2212-]?[\d.,]|", 1),
    )
    frame = frame.with_columns(money=pl.coalesce("money", pl.col("v").str.extract(rf"\d\s*({_CURRENCY})\)?$", 1)))
    kinds = frame["money"].drop_nulls().unique().sort().to_list()
    if len({_CODE_OF.get(kind, kind) for kind in kinds}) > 1:
        raise TableError(
            f"Column {name} holds several currencies ({', '.join(kinds[:5])}): amounts of different currencies are never "
            "added; give plain numbers and the currency in a column of its own."
        )
    percent = frame["v"].str.ends_with("%")
    if percent.any() and not (percent | is_missing_series(frame["v"])).all():
        raise TableError(f"Column {name} holds numbers with and without a percent sign: write all in one way.")
    bare = frame.select(
        pl.col("v")
        .str.replace_all("\u2212", "-", literal=True)
        .str.replace(r"^\((.+)\)$", "-$1")
        .str.replace(rf"^([+-]?)\s*(?:{_CURRENCY})\s*", "$1")
        .str.replace(rf"\s*(?:{_CURRENCY}|%)$", "")
        .str.replace(r"^([^+-].*)-$", "-$1")
        .str.replace_all(rf"(\d)(?:{_SPACES}|['\u2019])(\d\d\d)", "$1$2")
        .str.replace_all(rf"(\d)(?:{_SPACES}|['\u2019])(\d\d\d)", "$1$2")
    )["v"]
    taken = [*kinds, *(["%"] if percent.any() else [])]
    return bare, f"{name}: {' and '.join(taken)} left out of the numbers" if taken else None


def _decimal(text: pl.Series, name: str, lines: pl.Series) -> str:
    """The decimal mark that every value of the column agrees with. Raises TableError where none or both do."""
    marked = text.str.contains(_MARKED)
    point, comma = text.str.contains(_POINT) & marked, text.str.contains(_COMMA) & marked
    either = text.str.contains(_EITHER)
    for_point = point & ~comma & ~either
    for_comma = comma & ~point & ~either
    if for_point.any() and for_comma.any():
        raise TableError(
            f"Column {name} has decimal points (line {lines.filter(for_point.fill_null(False))[0]}) and decimal commas (line "
            f"{lines.filter(for_comma.fill_null(False))[0]}): say which it is with --decimal . or --decimal ,"
        )
    if for_comma.any():
        return ","
    if for_point.any() or not either.any():
        return "."
    line = lines.filter(either.fill_null(False))[0]
    raise TableError(
        f"Column {name} has one mark before three digits, as 1.234 or 1,234 (first in line {line}), and nothing in it shows "
        "whether that is a decimal mark: say it with --decimal . or --decimal ,"
    )
