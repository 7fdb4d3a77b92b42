"""Terminals: their payments and frauds by day, on `terminal-sums` in parts, on `terminal-profiles` as a whole."""

from typing import Annotated

from pydantic import Field, model_validator

from schemas.base import Count, Identifier, Message, SignedCount

DAYS_MAX = 1_000
"""Days in one profile, at most; what is kept of them is the feature specs' matter."""

SUMS_MAX = 500
"""Terminals in one record of partial sums."""

Day = Annotated[int, Field(ge=0, le=200_000)]
"""A UTC day, numbered from 1970-01-01."""


class TerminalSums(Message):
    """Part of what happened at some terminals on one day; every part is to be added. The lists belong together."""

    day: Day = Field(description="UTC day since 1970-01-01.")
    terminal_ids: Annotated[tuple[Identifier, ...], Field(max_length=SUMS_MAX)] = Field(description="Which terminals.")
    payments: Annotated[tuple[Count, ...], Field(max_length=SUMS_MAX)] = Field(description="Payments at each.")
    frauds: Annotated[tuple[SignedCount, ...], Field(max_length=SUMS_MAX)] = Field(
        description="Frauds at each; below 0 where a label was taken back."
    )

    @model_validator(mode="after")
    def _lists_belong_together(self) -> "TerminalSums":
        if not len(self.terminal_ids) == len(self.payments) == len(self.frauds):
            raise ValueError("terminal_ids, payments and frauds differ in length")
        return self


ByDay = Annotated[tuple[Count, ...], Field(max_length=DAYS_MAX)]
SignedByDay = Annotated[tuple[SignedCount, ...], Field(max_length=DAYS_MAX)]


class TerminalProfile(Message):
    """All that the scorer's profile features need of one terminal. A newer record of the same key replaces it, one without a
    value ends it.
    """

    terminal_id: Identifier = Field(description="Which terminal.")
    last_day: Day = Field(description="UTC day since 1970-01-01 of the last entries.")
    payments: ByDay = Field(description="Payments by day, up to the last; days before had none.")
    frauds: SignedByDay = Field(description="Of them known as fraud, by day.")

    @model_validator(mode="after")
    def _lists_belong_together(self) -> "TerminalProfile":
        if len(self.payments) != len(self.frauds):
            raise ValueError("payments and frauds differ in length")
        return self
