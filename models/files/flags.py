"""Words of yes and no in columns that hold nothing else. A word that is in neither list is asked for, never guessed."""

import polars as pl

from models.files.options import ReadOptions, TableError, value_kind

YES = ("yes", "y", "true", "t", "1", "ja", "j", "oui", "o", "si", "s\u00ed", "s", "sim", "wahr", "vrai")
NO = ("no", "n", "false", "f", "0", "nein", "non", "nee", "nao", "n\u00e3o", "falsch", "faux")


def words_of(column: pl.Series) -> pl.Series:
    """A column as lower-case words; 1.0 as 1, empty cells null."""
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase().str.strip_suffix(".0")
    return text.to_frame("v").select(pl.when(pl.col("v") != "").then("v"))["v"]


def read_flags(
    column: pl.Series,
    where: str,
    options: ReadOptions,
    lines: pl.Series,
    yes: tuple[str, ...] = (),
    no: tuple[str, ...] = (),
) -> pl.Series:
    """bool of each cell, null where it is empty. where: the column, for sentences. yes, no: words of this column beside ours.

    Raises TableError for a word that is neither, with its line, and where `options` name one word as both.
    """
    words = words_of(column)
    said_yes, said_no = ([word.strip().lower() for word in given] for given in (options.yes, options.no))
    both = set(said_yes) & set(said_no)
    if both:
        raise TableError("--word says yes and no of the same word: leave one out.")
    is_yes = [word for word in (*YES, *yes) if word not in said_no] + said_yes
    is_no = [word for word in (*NO, *no) if word not in said_yes] + said_no
    strange = (words.is_not_null() & ~words.is_in([*is_yes, *is_no])).fill_null(False)
    if strange.any():
        kind, line = value_kind(words.filter(strange)[0]), lines.filter(strange)[0]
        raise TableError(
            f"{where} holds {kind} in line {line}, which is neither yes nor no here: say what it means with --word WORD=yes or "
            f"--word WORD=no; known are {', '.join([*yes, *YES])} and {', '.join([*no, *NO])}."
        )
    return words.is_in(is_yes)


def is_flag_column(column: pl.Series, options: ReadOptions) -> bool:
    """Whether a column of text holds words of yes and no alone, and at least one that is no number."""
    words = words_of(column).drop_nulls().unique()
    known = {*YES, *NO, *(word.strip().lower() for word in (*options.yes, *options.no))}
    return bool(len(words)) and bool(words.is_in(list(known)).all()) and not bool(words.is_in(["0", "1"]).all())
