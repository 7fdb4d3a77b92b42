"""Months as words, in the languages of western Europe: each word here is one month in all of them."""

import polars as pl

from models.files.accents import without_accents

_WORDS = (
    ("jan", "january", "januar", "janvier", "enero", "ene", "gennaio", "gen", "januari", "janeiro"),
    ("feb", "february", "februar", "fevrier", "fev", "febrero", "febbraio", "februari", "fevereiro"),
    ("mar", "march", "marz", "maerz", "mrz", "mars", "marzo", "maart", "mrt", "marco"),
    ("apr", "april", "avril", "avr", "abril", "abr", "aprile"),
    ("may", "mai", "mayo", "maggio", "mag", "mei", "maio"),
    ("jun", "june", "juni", "juin", "junio", "giugno", "giu", "junho"),
    ("jul", "july", "juli", "juillet", "juil", "julio", "luglio", "lug", "julho"),
    ("aug", "august", "aout", "agosto", "ago", "augustus"),
    ("sep", "sept", "september", "septembre", "septiembre", "settembre", "set", "setembro"),
    ("oct", "october", "okt", "oktober", "octobre", "octubre", "ottobre", "ott", "outubro", "out"),
    ("nov", "november", "novembre", "noviembre", "novembro"),
    ("dec", "december", "dez", "dezember", "decembre", "diciembre", "dic", "dicembre", "dezembro"),
)
MONTHS = {word: number for number, words in enumerate(_WORDS, start=1) for word in words}

_NAME = r"(\p{L}{3,})\.?"
_WEEKDAY = r"^(?:\p{L}{2,}\.?,?\s+)?"
_DAY = r"(\d{1,2})(?:\.|st|nd|rd|th)?"
_SHAPES = (
    (rf"{_WEEKDAY}{_DAY}[-/. ]*(?:de )?{_NAME}[-/., ]+(?:de )?(\d{{4}}|\d{{2}})\b(.*)$", "dmy"),
    (rf"{_WEEKDAY}{_NAME}[-/. ]+{_DAY},?[-/. ]+(\d{{4}})\b(.*)$", "mdy"),
    (rf"^(\d{{4}})[-/. ]{_NAME}[-/. ](\d{{1,2}})\b(.*)$", "ymd"),
)


class UnknownMonthError(ValueError):
    """A date with a word where its month should be, which is no month here. row: the first of them."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def months_as_numbers(text: pl.Series) -> pl.Series:
    """Dates with the month as a word, as `year-month-day rest`; others as they are. Raises UnknownMonthError."""
    if not text.str.contains(r"\p{L}{3}").any():
        return text
    found = text
    for shape, order in _SHAPES:
        parts = text.str.extract_groups(shape).struct.unnest()
        parts.columns = [*order, "rest"]
        rows = parts["m"].is_not_null()
        if not rows.any():
            continue
        names = {name: MONTHS.get(plain(name)) for name in parts["m"].drop_nulls().unique()}
        number = parts["m"].replace_strict(names, default=None, return_dtype=pl.Int64)
        strange = rows & number.is_null()
        if strange.any():
            raise UnknownMonthError(int(strange.arg_true()[0]))
        whole = parts.with_columns(n=number)
        rest = pl.col("rest").str.replace(r"^,?\s+(?:at |um )?", " ")
        short = pl.format("{}.{}.{}{}", "d", "n", "y", rest)  # to be refused as any year of two digits
        written = (
            pl.when(pl.col("y").str.len_chars() == 2)
            .then(short)
            .otherwise(pl.format("{}-{}-{}{}", "y", "n", "d", rest))
        )
        found = pl.select(v=pl.when(rows).then(whole.select(w=written)["w"]).otherwise(found))["v"]
    return found


def plain(word: str) -> str:
    """Lower case, without accents: `Février` and `fevrier` are one word."""
    return without_accents(word.lower())
