"""Scores of the validation and test cuts as a bundle carries them, and back."""

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from models.bundle.files import BYTES_MAX, HELD_OUT, BundleError
from models.scoring.scores import Scores
from models.training.data import Dataset
from schemas.held_out import HeldOut, ScoredRows


def carried(validation: tuple[Dataset, Scores], test: tuple[Dataset, Scores], first_day: int) -> bytes | None:
    """`held_out.json`; None where the cuts have more rows than a bundle takes. first_day: since 1970, day 0 of the cuts."""
    content = HeldOut(validation=_rows(*validation, first_day), test=_rows(*test, first_day)).model_dump_json() + "\n"
    return content.encode() if len(content) <= BYTES_MAX[HELD_OUT] else None


def restored(content: bytes) -> tuple[tuple[Dataset, Scores], tuple[Dataset, Scores]]:
    """Rows and scores of both cuts, without features; days since 1970. Raises BundleError."""
    try:
        held = HeldOut.model_validate_json(content)
        return _cut(held.validation), _cut(held.test)
    except (ValidationError, ValueError):
        raise BundleError(f"{HELD_OUT} does not hold columns of equal length: train the bundle again.") from None


def _rows(data: Dataset, scores: Scores, first_day: int) -> ScoredRows:
    _, card = np.unique(data.card, return_inverse=True)
    columns = {
        **{name: np.asarray(column, "<f4") for name, column in scores._asdict().items()},
        "is_fraud": data.is_fraud.astype(np.int8),
        "scenario": data.scenario.astype(np.int8),
        "day": (data.day + first_day).astype("<i4"),
        "card": card.astype("<i4"),
    }
    if data.amount is not None:
        columns["amount"] = data.amount.astype("<f8")
    # `model_construct`: the fields hold bytes, which are only written as base64
    return ScoredRows.model_construct(
        None, rows=len(data), **{name: column.tobytes() for name, column in columns.items()}
    )


def _cut(rows: ScoredRows) -> tuple[Dataset, Scores]:
    def column(name: str, kind: object) -> NDArray[np.generic]:
        values: NDArray[np.generic] = np.frombuffer(getattr(rows, name), kind)  # type: ignore[call-overload]
        if len(values) != rows.rows:
            raise ValueError(name)
        return values

    scores = Scores(*(column(name, "<f4").astype(np.float32) for name in Scores._fields))
    data = Dataset(
        features=np.zeros((rows.rows, 0), np.float32),
        card=column("card", "<i4").astype(np.int64),
        day=column("day", "<i4").astype(np.int64),
        is_fraud=column("is_fraud", np.int8).astype(np.bool_),
        scenario=column("scenario", np.int8).astype(np.int8),
        amount=None if rows.amount is None else column("amount", "<f8").astype(np.float64),
    )
    return data, scores
