"""Files of labels: CSV or Parquet, any column names. An invalid row is counted by what is wrong with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from models.files.flags import NO, YES
from models.files.options import ReadOptions
from models.files.table import RAGGED_WORDS, Table, read_table
from schemas.label import LABEL_AGE_DAYS_MAX, Label, LabelSource
from schemas.privacy import is_card_number
from services.cli.mapped import columns_of
from services.errors import AssayError

DAY_MS = 86_400_000
FIELDS = tuple(name for name in Label.model_fields if name != "ids")
OF_IDS = "ids."
"""Before the name of a further id: --map ids.device_id=COLUMN, or a column of that name."""

TIMES = ("labelled_at_ms", "event_time_ms")
FRAUD, LEGITIMATE = ("fraud", *YES), ("legitimate", *NO)
PLAIN = ReadOptions()


def read_labels(
    path: Path, pairs: Sequence[str], source: LabelSource, at_ms: int, options: ReadOptions = PLAIN
) -> tuple[list[Label], list[tuple[str, int]]]:
    """The labels in the file's order, and reason and line of each row that was left out.

    pairs: FIELD=COLUMN. source, at_ms: for rows that do not say. Raises AssayError or TableError.
    """
    names: dict[str, str] = {}

    def choose(header: Sequence[str]) -> list[str]:
        asked = [pair.partition("=")[0] for pair in pairs]
        further = [name for name in dict.fromkeys([*asked, *header]) if name.startswith(OF_IDS)]
        names.update(columns_of(pairs, header, path, [*FIELDS, *further], ("transaction_id", "verdict")))
        return list(names.values())

    table = read_table(path, options, choose)
    if table.frame.is_empty():
        raise AssayError(f"{path} holds no label, only column names: give a file with rows.")
    labels: list[Label] = []
    refused: list[tuple[str, int]] = []
    columns = {name: _column(table, name, column) for name, column in names.items()}
    rows = pl.DataFrame(columns).iter_rows(named=True)
    words = verdict_words(options)
    for row, line, ragged in zip(rows, table.lines, table.ragged, strict=True):
        label = RAGGED_WORDS if ragged else _label({"source": source, "labelled_at_ms": at_ms}, row, words)
        if isinstance(label, Label):
            labels.append(label)
        else:
            refused.append((label, line))
    return labels, refused


def _column(table: Table, name: str, column: str) -> pl.Series:
    return table.times(column) if name in TIMES else table.texts(column) if _is_id(name) else _words(table, column)


def _is_id(name: str) -> bool:
    return name.endswith("_id")


def _words(table: Table, column: str) -> pl.Series:
    return table.frame[column].cast(pl.String)


def verdict_words(options: ReadOptions) -> dict[str, str]:
    """What each word of a verdict means; a person's own words count before ours."""
    ours = {**dict.fromkeys(FRAUD, "fraud"), **dict.fromkeys(LEGITIMATE, "legitimate")}
    yes, no = ([word.strip().lower() for word in words] for words in (options.yes, options.no))
    return {**ours, **dict.fromkeys(yes, "fraud"), **dict.fromkeys(no, "legitimate")}


def _label(defaults: Mapping[str, Any], row: Mapping[str, Any], words: Mapping[str, str]) -> Label | str:
    """The label of a row, or what is wrong with it."""
    there = {name: value for name, value in row.items() if value is not None}
    ids = {name.removeprefix(OF_IDS): there.pop(name) for name in list(there) if name.startswith(OF_IDS)}
    fields = {**defaults, **there, "ids": ids}
    word = str(fields.get("verdict", "")).strip().lower().removesuffix(".0")
    if word not in words:
        return f"verdict is none: write one of {', '.join(words)}, or say what one means with --word WORD=yes"
    if is_card_number(fields.get("card_id") or ""):
        return "card_id is a card number: give the pseudonym, see `assay privacy pseudonyms`"
    try:
        label = Label(**{**fields, "verdict": words[word]})
    except ValidationError as error:
        return f"{error.errors()[0]['loc'][0]} is not usable: correct it, or leave the row out"
    if label.event_time_ms is not None and label.labelled_at_ms - label.event_time_ms > LABEL_AGE_DAYS_MAX * DAY_MS:
        return f"more than {LABEL_AGE_DAYS_MAX} days after the payment"
    return label
