"""Amounts in several currencies, which no one may add up: what each is worth is asked, never guessed."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer

from schemas.derived import RATE_MAX, RATE_MIN, Currencies
from schemas.source_spec import SourceSpec
from services.cli.output import notes
from services.errors import AssayError

NONE = "none"
NO_EVENT_NAMES_ONE = "EUR"
"""The currency of a sample in which no event names one."""
_ONE = re.compile(r"([A-Z]{3})=([0-9.eE+-]+)")


def currencies_of(source: SourceSpec, codes: Sequence[Any], given: str | None) -> Currencies:
    """In which currency amounts are added, and what one unit of each further one is worth in it.

    codes: of the sample's events. given: --rates, of all the sample's currencies but the one that the others are worth in.
    Raises AssayError, and Exit(1) where it is to be asked.
    """
    counts = Counter(str(code) for code in codes if code)
    base, *others = [code for code, _ in counts.most_common()] or [NO_EVENT_NAMES_ONE]
    if source.event.currency is None or source.event.currency.path is None:
        if given is not None:
            raise AssayError(
                "--rates is for events that name their currency, and the source spec has none: leave it out."
            )
    elif given is None and others:
        shown = ", ".join(f"{code} ({counts[code]:,})" for code in (base, *others))
        example = ",".join(f"{code}=..." for code in others)
        notes.print("1 to be answered, with an option below:")
        notes.print(f"currencies: the sample's amounts are in {shown}; what is one unit of the others worth in {base}?")
        notes.print(
            f"    --rates {example}    converted at these fixed rates before anything adds them up; or in another one"
        )
        notes.print(f"    --rates {NONE}    events in another currency than {base} become dead letters")
        raise typer.Exit(1)
    elif given not in (None, NONE):
        rates = _read(given)
        without = [code for code in (base, *others) if code not in rates]
        if not without:
            raise AssayError(
                f"--rates {given} has all the sample's currencies: leave out the one that they are worth in."
            )
        if len(without) > 1:
            raise AssayError(
                f"--rates {given} lacks {', '.join(without)}, which the sample has: add each but the one they are worth in."
            )
        return Currencies(only=without[0], rates=rates)
    return Currencies(only=base)


def _read(given: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in given.split(","):
        match = _ONE.fullmatch(part.strip())
        try:
            rate = float(match[2]) if match else 0.0
        except ValueError:
            rate = 0.0
        if match is None or not RATE_MIN <= rate <= RATE_MAX:
            raise AssayError(f"--rates {part} is not CODE=NUMBER, as in SEK=0.088: correct it.")
        if match[1] in found:
            raise AssayError(f"--rates {given} has {match[1]} twice: leave one out.")
        found[match[1]] = rate
    return found
