"""Scores of rows that a bundle's model was not trained on, with what became of them: `held_out.json`.

Thresholds are chosen on the validation rows and measured on the test rows, long after the training. Nothing in it names a card,
a terminal or a payment: cards are numbered, days are counted, and there is no time of day.
"""

from typing import Annotated

from pydantic import Base64Bytes, Field

from schemas.base import Count, Message

COLUMN_BYTES_MAX = 16 << 20

Column = Annotated[Base64Bytes, Field(max_length=COLUMN_BYTES_MAX)]
"""Little-endian numbers, one for each row."""


class ScoredRows(Message):
    """The rows of one cut, column by column, in order of time."""

    rows: Count = Field(description="How many.")
    probability: Column = Field(description="float32 of each row.")
    reconstruction_error: Column = Field(description="float32 of each row.")
    anomaly_percentile: Column = Field(description="float32 of each row.")
    is_fraud: Column = Field(description="A byte of each row, 0 or 1.")
    scenario: Column = Field(description="int8 of each row: number of its kind of fraud, 0 where there is none.")
    day: Column = Field(description="int32 of each row: days since 1970.")
    card: Column = Field(description="int32 of each row: the card's number within this file.")
    amount: Column | None = Field(None, description="float64 of each row, where amounts are known.")


class HeldOut(Message):
    """Both cuts."""

    validation: ScoredRows = Field(description="What thresholds are chosen on.")
    test: ScoredRows = Field(description="What figures are measured on.")
