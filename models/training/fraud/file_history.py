"""A file of labelled payments as training history: what the stream would refuse is left out, with a note."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.layout import entity_fields, id_fields, number_fields
from models.features.learnt import cross_fitted, learnt, texts_of
from models.files.currencies import currency_problems
from models.files.events import read_events, usable_events
from models.files.options import ReadOptions
from models.files.payments import PLAIN, payloads, read
from models.training.data import Dataset, TrainingError
from models.training.fraud.history import History, LabelledDay, fold_history
from models.training.progress import Progress, silent
from schemas import codec
from schemas.feature_kinds.base import ID_FIELDS
from schemas.feature_spec import FeatureSpec
from schemas.privacy import is_card_number
from schemas.source_spec import SourceSpec
from schemas.transaction import Transaction

DAY_MS = 86_400_000
REASONS_MAX = 10

TrainDays = Callable[[int, int], range]
"""The days of the train cut, counted from the data's first, by that day (since 1970) and their number."""


def read_history(
    path: Path,
    names: Mapping[str, str],
    label: str,
    spec: FeatureSpec,
    scenario: str | None = None,
    progress: Progress = silent,
    options: ReadOptions = PLAIN,
    notes: list[str] | None = None,
    source: SourceSpec | None = None,
    train_days: TrainDays = lambda first_day, days: range(days),
    directory: Path | None = None,
) -> History:
    """The labelled payments of a CSV or Parquet file with their features.

    train_days: the values of open categories are learnt from these, by default from all.

    names: field -> column, where it has another name. label, scenario: columns as in `models.files.payments.read`, options and
    notes too. source: what the file holds, in place of names. directory: the features lie in files of it, though the payments
    are all in memory: `parted_history` reads them by parts. Raises TableError, or TrainingError where nothing usable is left.
    """
    if source is None:
        fields = read(path, names, label, scenario, options, id_fields(spec), notes)
    else:
        fields = read_events(path, source, label, scenario, options, notes)
    good = usable(fields, notes)
    good = _left(good, currency_problems(good, spec.currencies), notes)
    if good.is_empty():
        raise TrainingError(f"{path} holds no payment that could be scored: look at its times, ids and amounts.")
    return fold_payments(good, spec, file_words(path, len(fields) - len(good)), progress, train_days, directory)


def fold_payments(
    fields: pl.DataFrame,
    spec: FeatureSpec,
    source: str,
    progress: Progress = silent,
    train_days: TrainDays = lambda first_day, days: range(days),
    directory: Path | None = None,
) -> History:
    """Usable payments, in order of time, with their features. source: the data in words."""
    first_day, last_day = (int(fields["event_time_ms"][row]) // DAY_MS for row in (0, -1))
    ids = max(fields[field].n_unique() for field in {*ID_FIELDS, *id_fields(spec)} if field in fields)
    days = last_day - first_day + 1
    together = ([field for field in entity_fields(spec, name) if field in fields] for name in spec.stages)
    entities_max = max([ids, *(fields.select(named).n_unique() for named in together if named)])

    def folded(by: FeatureSpec) -> Dataset:
        return fold_history(
            labelled_days(fields, by),
            first_day,
            days,
            by,
            ids,
            progress,
            entities_max=entities_max,
            directory=directory,
        )

    if not spec.open_categories:
        return History(folded(spec), first_day, days, source)
    cut = train_days(first_day, days)
    day = fields["event_time_ms"].to_numpy() // DAY_MS - first_day
    rows = (day >= cut.start) & (day < cut.stop)
    taught = fields.filter(rows)
    texts, is_fraud = texts_of(spec, _columns(taught, spec)), taught["is_fraud"].to_numpy()
    spec = learnt(spec, texts, is_fraud)
    data = folded(spec)
    features = data.features.copy()
    for place, column in cross_fitted(spec, texts, is_fraud, data.card[rows]).items():
        features[rows, place] = column
    return History(replace(data, features=features), first_day, days, source, spec)


def usable(fields: pl.DataFrame, notes: list[str] | None = None) -> pl.DataFrame:
    """The payments that the stream would accept: judged by its own parser, each id once, no card number.

    notes: how many were left out for which reason, and the first one's line, are added to it.
    """
    return _left(fields, refusals(fields), notes)


def refusals(fields: pl.DataFrame, seen: pl.Series | None = None) -> pl.Series:
    """Why each payment is left out, null where it is not. seen: bool[n], whether an earlier one had its id, of other parts."""
    if "payload" in fields.columns:
        return usable_events(fields)
    parse = codec.decoder(Transaction)
    numbers = [card for card in fields["card_id"].unique().drop_nulls() if is_card_number(card)]
    said = pl.Series([_refusal(parse, payload) for payload in payloads(fields)], dtype=pl.String)
    again = ~fields["transaction_id"].is_first_distinct()
    return pl.select(
        pl.when(said.is_not_null())
        .then(pl.coalesce(fields["problem"], said))
        .when(fields["card_id"].is_in(numbers).fill_null(False))
        .then(pl.lit("card_id is a card number: give the pseudonym, see `assay privacy pseudonyms`"))
        .when(again if seen is None else again | seen)
        .then(pl.lit("an earlier payment has the same transaction_id: give each one its own"))
        .alias("why")
    )["why"]


def _left(fields: pl.DataFrame, why: pl.Series, notes: list[str] | None) -> pl.DataFrame:
    """The payments that nothing speaks against; the others are counted in the notes."""
    if notes is not None:
        notes += left_out_notes([left_out(fields, why)])
    return fields.filter(why.is_null())


def left_out(fields: pl.DataFrame, why: pl.Series) -> pl.DataFrame:
    """The reasons, how many rows each leaves out, and the first one's line."""
    refused = pl.DataFrame({"why": why, "line": fields["line"]}).drop_nulls("why")
    return refused.group_by("why").agg(pl.len().alias("rows"), pl.col("line").min())


def left_out_notes(counts: Sequence[pl.DataFrame]) -> list[str]:
    """Those of one or more parts of a file as notes, the most frequent first."""
    whole = pl.concat(counts).group_by("why").agg(pl.col("rows").sum(), pl.col("line").min())
    whole = whole.sort("rows", "line", descending=[True, False])
    return [
        f"left out: {rows:,} rows, the first in line {line}: {reason}"
        for reason, rows, line in whole.head(REASONS_MAX).rows()
    ]


def _refusal(parse: Callable[[bytes], Transaction], payload: bytes) -> str | None:
    try:
        parse(payload)
    except codec.RejectedError as error:
        return f"{error}: correct it or leave the payment out"
    return None


def labelled_days(fields: pl.DataFrame, spec: FeatureSpec) -> Iterator[LabelledDay]:
    """Payments in order of time, day by day."""
    for (day,), rows in fields.group_by(pl.col("event_time_ms") // DAY_MS, maintain_order=True):
        scenario = rows["scenario"].to_numpy() if "scenario" in rows else np.zeros(len(rows))
        columns = _columns(rows, spec)
        yield LabelledDay(int(str(day)), columns, rows["is_fraud"].to_numpy(), scenario.astype(np.int8))


def _columns(rows: pl.DataFrame, spec: FeatureSpec) -> TransactionColumns:
    return TransactionColumns(
        ids={field: _texts(rows, field) for field in sorted({*id_fields(spec), "card_id"})},
        event_time_ms=rows["event_time_ms"].to_numpy(),
        amount=rows["amount"].to_numpy(),
        numbers={name: rows[name].cast(pl.Float64).to_numpy() for name in number_fields(spec)},
    )


def _texts(rows: pl.DataFrame, field: str) -> list[str]:
    """As the scorer hands an id to the fold: an empty one is none."""
    return [text or NO_VALUE for text in rows[field].to_list()] if field in rows else [NO_VALUE] * len(rows)


def file_words(path: Path, left_out: int) -> str:
    """The data of a file in words."""
    refused = f" {left_out:,} rows that the stream would refuse were left out." if left_out else ""
    return f"Payments of the file {path.name}.{refused}"
