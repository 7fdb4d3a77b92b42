"""What guesses about a sample's fields are made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.discovery.columns import Column
from models.discovery.draft import Answers, Option
from models.discovery.keys import Keys
from models.discovery.moments import Reading

OPTIONS_MAX = 8
ID_CHARACTERS_MAX = 64
NONE = "none"
"""The answer that says there is no such field."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What guesses are made from. times: how each column can be read as a time."""

    columns: dict[str, Column]
    times: dict[str, list[Reading]]
    keys: Keys
    answers: Answers
    table: bool = False


def ids(seen: Seen) -> list[Column]:
    """Columns that could be ids."""
    return [
        column
        for path, column in seen.columns.items()
        if column.is_text
        and not column.holds_card_numbers
        and (not column.personal or "iban" in column.words)
        and path not in seen.times
        and path != seen.answers.label
        and max(map(len, column.counts.keys() & set(column.texts)), default=1) <= ID_CHARACTERS_MAX
        and (column.is_whole or not column.is_number)
        and "[" not in path
    ]


def options(role: str, columns: Sequence[Column], meaning: Callable[[Column], str]) -> list[Option]:
    """An option for each column; meaning: what is said beside it."""
    return [
        Option(f"--{role} {column.path}", {"path": column.path}, meaning(column)) for column in columns[:OPTIONS_MAX]
    ]
