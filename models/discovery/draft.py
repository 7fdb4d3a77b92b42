"""A source spec in the making: each field with its evidence, or a question with the options that answer it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.discovery.columns import Column, joined_column
from models.discovery.sample import DiscoveryError

Fields = dict[str, Any]
"""A field as the spec's YAML has it."""

VALUES_SHOWN_MAX = 6


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person has said, so that it is not guessed: paths, mostly; `none` for what is not there."""

    id: str | None = None
    time: str | None = None
    time_unit: str | None = None
    time_format: str | None = None
    time_zone: str | None = None
    date_order: str | None = None
    subject: str | None = None
    counterparty: str | None = None
    amount: str | None = None
    amount_scale: str | None = None
    amount_sign: str | None = None
    refunds: str | None = None
    currency: str | None = None
    label: str | None = None
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """A field and why."""

    fields: Fields
    evidence: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to a question: what to write on the command line, what it makes of the field, and what it would mean."""

    answer: str
    fields: Fields | None
    meaning: str


@dataclass(frozen=True, slots=True)
class Question:
    """What the sample leaves open."""

    field: str
    words: str
    options: Sequence[Option]


@dataclass(slots=True)
class Draft:
    """All of a spec. left_out: paths that become no attribute, and why. splits: how further fields would divide the records."""

    topic: str
    format: str = "json"
    envelope: str = "none"
    about: list[str] = field(default_factory=list)
    select: list[Guess] = field(default_factory=list)
    splits: list[Guess] = field(default_factory=list)
    event: dict[str, Guess | Question] = field(default_factory=dict)
    attributes: dict[str, Guess | Question] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    label: str | None = None
    routed: str | None = None
    """Why intake has to be between the topic and the scorer; None where the scorer may read it, or where it is a file."""

    @property
    def questions(self) -> list[Question]:
        """What is still to be answered; one answer may settle several, and is asked for once."""
        found = [part for part in (*self.event.values(), *self.attributes.values()) if isinstance(part, Question)]
        asked: list[Question] = []
        for question in found:
            options = {option.answer for option in question.options}
            if not any(options == {option.answer for option in other.options} for other in asked):
                asked.append(question)
        return asked


def named(columns: dict[str, Column], path: str, option: str) -> Column:
    """The column that an answer names. Raises DiscoveryError where there is none."""
    from difflib import get_close_matches

    column = columns.get(path)
    if column is None:
        near = get_close_matches(path, columns, n=1, cutoff=0.5)
        hint = f" (nearest is {near[0]})" if near else ""
        raise DiscoveryError(f"--{option} {path}: no record of the sample has that field{hint}; correct the path.")
    return column


def located(columns: dict[str, Column], answer: str, option: str) -> tuple[Column, Fields]:
    """The column that an answer names, or the one that several make, with a comma between; and the field of the spec.

    Raises DiscoveryError.
    """
    if answer in columns or "," not in answer:
        column = named(columns, answer, option)
        return column, {"path": column.path}
    several = [named(columns, path.strip(), option) for path in answer.split(",")]
    if any(not column.is_text for column in several):
        raise DiscoveryError(f"--{option} {answer}: an id is joined of texts and whole numbers; name such fields.")
    return joined_column(several), {"join": [column.path for column in several]}


def share_words(share: float) -> str:
    """A share in per cent; what is neither none nor all is shown as neither."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}"


def described(column: Column) -> str:
    """A column in one line: presence, types, different values, and their shape or, where they are no one's, themselves."""
    kinds = " and ".join(
        kind if count == len(column.values) else f"{kind} ({share_words(count / len(column.values))})"
        for kind, count in column.kinds.most_common(3)
    )
    words = [kinds or "always null"]
    if column.null_share:
        words.append(f"{share_words(column.null_share)} null or absent")
    if not column.is_scalar:
        return ", ".join(words)
    words.append(f"{len(column.counts):,} different" if len(column.counts) > 1 else "always the same")
    if column.showable:
        words.append(values_words(column))
    elif column.is_number and column.numbers and not column.names_things:
        words.append(f"{number_words(min(column.numbers))} to {number_words(max(column.numbers))}")
    elif shape := column.shape():
        words.append(f"shape {shape}")
    if column.card_number_share and not column.holds_card_numbers:
        words.append(f"{share_words(column.card_number_share)} look like card numbers, which Assay refuses in ids")
    return ", ".join(words)


def number_words(value: float) -> str:
    """Short."""
    return f"{value:.15g}" if abs(value) < 1e15 else f"{value:g}"


def values_words(column: Column) -> str:
    """The most frequent values and how often they are."""
    found = column.counts.most_common(VALUES_SHOWN_MAX)
    more = len(column.counts) - len(found)
    return ", ".join(f"{value} {count:,}" for value, count in found) + (f", {more} more" if more else "")
