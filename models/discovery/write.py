"""A draft as the YAML of a source spec: evidence beside each field as comments, an open question where it is not known."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from models.discovery.draft import Draft, Fields, Guess, Question

WIDTH_MAX = 118
MARK = "QUESTION"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*( [A-Za-z0-9_.-]+)*")
_UNPRINTABLE = re.compile(
    "[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
"""What ends a line, or shows as another text than it is: names and values are chosen by the writer of the records."""

_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "t", "f", "nan", "inf"}


def yaml_of(draft: Draft) -> str:
    """The spec's text; it is read as a spec once no question is left."""
    lines = [f"# {line}" for line in map(printable, draft.about)]
    if draft.questions:
        lines.append(
            f"# {len(draft.questions)} open: answer with the options below each {MARK}, or write the field by hand."
        )
    lines += [
        "version: 1",
        f"topic: {scalar(draft.topic)}",
        f"format: {draft.format}",
        *_envelope(draft),
        *([f"# {printable(draft.routed)}", "routed: true"] if draft.routed else []),
        "",
        *_select(draft),
        "",
        "event:",
    ]
    for name, part in draft.event.items():
        lines += _part(name, part)
    lines += ["", *(["attributes:"] if draft.attributes else ["attributes: {}"])]
    for name, part in draft.attributes.items():
        lines += _part(name, part)
    if draft.left_out:
        lines += ["", "# Left out:", *(f"#   {printable(path)}: {printable(why)}" for path, why in draft.left_out)]
    return "\n".join(lines) + "\n"


def _envelope(draft: Draft) -> list[str]:
    return [] if draft.envelope == "none" else [f"envelope: {draft.envelope}"]


def _select(draft: Draft) -> Iterator[str]:
    if draft.select:
        yield "select:  # what is not selected is passed over and counted; it is no dead letter"
        for guess in draft.select:
            yield from (f"  # {line}" for line in map(printable, guess.evidence))
            yield f"  - {flow(guess.fields)}"
    else:
        yield "select: []  # every record is an event"
    shown = {json.dumps(guess.fields.get("not", {}).get("path")) for guess in draft.select}
    splits = [guess for guess in draft.splits if json.dumps(guess.fields["path"]) not in shown]
    if splits:
        yield "  # fields that could tell events from other records, and how they split the sample:"
        for guess in splits:
            yield f"  # - {flow(guess.fields)}  # {printable(guess.evidence[0])}"


def _part(name: str, part: Guess | Question) -> Iterator[str]:
    if isinstance(part, Guess):
        yield from (f"  # {line}" for line in map(printable, part.evidence))
        yield f"  {name}: {flow(part.fields)}"
        return
    yield f"  # {MARK}: {printable(part.words)}"
    for option in part.options:
        yield f"  #   {printable(option.answer)}    {printable(option.meaning)}"
        if option.fields and "type" not in option.fields:
            yield f"  #     {name}: {flow(option.fields)}"


def flow(fields: Fields) -> str:
    """A mapping in one line."""
    return "{" + ", ".join(f"{key}: {value(inner)}" for key, inner in fields.items()) + "}"


def value(found: Any) -> str:
    """A value in one line."""
    if isinstance(found, dict):
        return flow(found)
    if isinstance(found, list | tuple):
        return "[" + ", ".join(map(value, found)) + "]"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return f"{found:g}" if found != int(found) or abs(found) < 1e6 else f"{found:.0e}".replace("e+0", "e")
    return scalar(found) if isinstance(found, str) else str(found)


def scalar(text: str) -> str:
    """A text, in quotes where YAML would read something else."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and "  " not in text
    return text if plain else printable(json.dumps(text, ensure_ascii=False))


def printable(text: str) -> str:
    """The text in one line of characters that show as what they are: the others as YAML and JSON escape them."""
    return _UNPRINTABLE.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def questions_text(questions: Sequence[Question]) -> list[str]:
    """Each question and its options, for a terminal."""
    lines = []
    for question in questions:
        lines.append(printable(f"{question.field}: {question.words}"))
        lines += [f"    {printable(option.answer)}    {printable(option.meaning)}" for option in question.options]
    return lines
