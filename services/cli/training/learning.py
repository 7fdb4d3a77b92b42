"""`assay features build --learn`: the values of open categories, for a model that is trained elsewhere."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.layout import id_fields
from models.features.learnt import cross_fitted, learnt, texts_of
from schemas.feature_kinds.event import CategoryFeature
from schemas.feature_spec import FeatureSpec
from services.errors import AssayError

Taught = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""The features of the file, with rates of other cards' rows where a model is trained on them."""


def check(target: Path | None, before: str | None) -> None:
    """Raises AssayError where only one of the options is given, or the day is none."""
    if (target is None) != (before is None):
        raise AssayError("Give --learn and --learn-before together: values are learnt from the training cut alone.")
    if before is not None:
        _day(before)


def learnt_spec(
    fields: pl.DataFrame, spec: FeatureSpec, target: Path | None, before: str | None
) -> tuple[FeatureSpec, Taught]:
    """The spec with the values of its open categories, written to `target`; unchanged without."""
    if target is None or before is None:
        return spec, lambda features: features
    if not spec.open_categories:
        raise AssayError("The feature spec has no category whose values are open: leave --learn out.")
    labelled = "is_fraud" in fields
    rates = [f.name for f in spec.features if isinstance(f, CategoryFeature) and f.learn and f.learn.encode == "rate"]
    if rates and not labelled:
        raise AssayError(f"{', '.join(rates)} reads the rate of frauds: give --label, the column that says them.")
    rows = fields["event_time_ms"].to_numpy() < int(_day(before).timestamp() * 1000)
    if not rows.any():
        raise AssayError(f"No payment of the file is before {before}: give a later day with --learn-before.")
    part = fields.filter(pl.Series(rows))
    texts = texts_of(spec, _columns(part, spec))
    is_fraud = part["is_fraud"].to_numpy() if labelled else np.zeros(len(part), np.bool_)
    card = part["card_id"].rank("dense").to_numpy().astype(np.int64)
    found = learnt(spec, texts, is_fraud)
    content = found.model_dump(mode="json", exclude_defaults=True)
    try:
        target.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise AssayError(f"{target} cannot be written ({error.strerror}): choose another place.") from None

    def taught(features: NDArray[np.float32]) -> NDArray[np.float32]:
        for place, column in cross_fitted(found, texts, is_fraud, card).items():
            features[rows, place] = column
        return features

    return found, taught


def _columns(rows: pl.DataFrame, spec: FeatureSpec) -> TransactionColumns:
    """What texts are taken from."""
    ids = {
        name: [text or NO_VALUE for text in rows[name].to_list()] if name in rows else [NO_VALUE] * len(rows)
        for name in id_fields(spec)
    }
    times, amounts = rows["event_time_ms"].to_numpy(), rows["amount"].to_numpy()
    return TransactionColumns(ids, times, amounts)


def _day(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        raise AssayError(f"--learn-before {text} is no day: write for example 2026-03-01.") from None
