"""Terminals: their payments and frauds by day, on `terminal-sums` in parts, on `terminal-profiles` as a whole."""

from typing import Annotated

from pydantic import Field

from schemas.base import Count, Identifier, Message

SUMS_MAX = 500
"""Terminals in one record of partial sums."""

Day = Annotated[int, Field(ge=0, le=200_000)]
"""A UTC day, numbered from 1970-01-01."""


class TerminalSums(Message):
    """Part of what happened at some terminals on one day; every part is to be added. The lists belong together."""

    day: Day = Field(description="UTC day since 1970-01-01.")
    terminal_ids: Annotated[tuple[Identifier, ...], Field(max_length=SUMS_MAX)] = Field(description="Which terminals.")
    payments: Annotated[tuple[Count, ...], Field(max_length=SUMS_MAX)] = Field(description="Payments at each.")
    frauds: Annotated[tuple[int, ...], Field(max_length=SUMS_MAX)] = Field(
        description="Frauds at each; below 0 where a label was taken back."
    )


class TerminalProfile(Message):
    """All that the scorer's profile features need of one terminal. A newer record of the same key replaces it."""

    terminal_id: Identifier = Field(description="Which terminal.")
    last_day: Day = Field(description="UTC day since 1970-01-01 of the last entries.")
    payments: tuple[Count, ...] = Field(description="Payments by day, up to the last; days before had none.")
    frauds: tuple[int, ...] = Field(description="Of them known as fraud, by day.")
