"""A file of payments read; scores and features written back beside it: CSV or Parquet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.features.layout import id_fields
from models.files import payments
from models.files.currencies import currency_problems
from models.files.events import read_events, whole_events
from models.files.options import ReadOptions, TableError
from models.files.payments import check_suffix
from models.sources.fits import misfit
from schemas.feature_kinds.base import ID_FIELDS
from schemas.feature_spec import FeatureSpec
from schemas.source_spec import SourceSpec
from services.cli.frames import write_whole
from services.scorer.offline import Judged

FIX = ": correct it or leave the payment out"


def check_target(path: Path) -> None:
    """Before the work: raises TableError where the scores could not be written after it."""
    check_suffix(path)
    if not path.parent.is_dir():
        raise TableError(f"{path} cannot be written, since {path.parent} is no directory: make it first.")


def read(
    path: Path,
    source: SourceSpec | None,
    mapped: Sequence[str] | None,
    label: str | None,
    options: ReadOptions,
    spec: FeatureSpec,
    notes: list[str],
) -> pl.DataFrame:
    """A file of a source's events, or of payments with columns as `mapped` says. Raises TableError."""
    if problem := misfit(spec, source):
        raise TableError(problem)
    if source is not None:
        fields = read_events(path, source, label, options=options, notes=notes)
    else:
        names = payments.mapping(mapped or [])
        fields = payments.read(path, names, label, options=options, reads=id_fields(spec), notes=notes)
    return fields.with_columns(pl.coalesce("problem", currency_problems(fields, spec.currencies)).alias("problem"))


def whole(fields: pl.DataFrame, path: Path, source: SourceSpec | None) -> pl.DataFrame:
    """What was read. Raises TableError where a row is none that the stream would take."""
    return payments.whole(fields, path) if source is None else whole_events(fields, path)


def ids_max(fields: pl.DataFrame, spec: FeatureSpec) -> int:
    """How many ids a field has, at most."""
    return max(fields[field].n_unique() for field in {*ID_FIELDS, *id_fields(spec)} if field in fields)


def write_features(
    path: Path, fields: pl.DataFrame, names: Sequence[str], features: NDArray[np.float32], *, labelled: bool
) -> None:
    """One row for each row read, in the file's order; at once or not at all. Raises AssayError."""
    kept = ["transaction_id", *(["is_fraud"] if labelled else []), "row"]
    frame = fields.select(kept).hstack(pl.DataFrame(features, schema=list(names)))
    write_whole(path, frame.sort("row").drop("row"))


def write(path: Path, fields: pl.DataFrame, judged: Judged) -> None:
    """One row for each row read, in the file's order; at once or not at all. Raises AssayError."""
    frame = pl.DataFrame(
        {
            "transaction_id": fields["transaction_id"],
            **judged.scores._asdict(),
            "alert": judged.alert,
            "rejected": pl.Series(judged.rejected, dtype=pl.String),
            "detail": _details(fields, judged),
            "row": fields["row"],
        }
    )
    scored = pl.col("rejected").is_null()
    outputs = [*judged.scores._fields, "alert"]
    frame = frame.with_columns(pl.when(scored).then(pl.col(name)).alias(name) for name in outputs)
    write_whole(path, frame.sort("row").drop("row"))


def refused(fields: pl.DataFrame, judged: Judged) -> list[tuple[str, int]]:
    """Reason and line of each payment that has no scores."""
    details = _details(fields, judged)
    found = zip(judged.rejected, details, fields["line"], strict=True)
    return [(detail or reason, line) for reason, detail, line in found if reason is not None]


def _details(fields: pl.DataFrame, judged: Judged) -> pl.Series:
    """Why a payment was refused, in words: what the file has instead of a value, or else what the stream says."""
    given = pl.DataFrame({"problem": fields["problem"], "said": pl.Series(judged.details, dtype=pl.String)})
    words = given.select(
        detail=pl.when(pl.col("said").is_not_null()).then(pl.coalesce("problem", pl.col("said") + FIX))
    )
    return words["detail"]
