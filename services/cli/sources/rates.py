"""Amounts in several currencies, which no one may add up: what each is worth is asked, never guessed."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer

from models.discovery.proposal import commonest_currency
from schemas.derived import RATE_MAX, RATE_MIN
from schemas.source_spec import SourceSpec
from services.cli.output import notes
from services.errors import AssayError

NONE = "none"
_ONE = re.compile(r"([A-Z]{3})=([0-9.eE+-]+)")


def rates_of(source: SourceSpec, codes: Sequence[Any], given: str | None) -> dict[str, float]:
    """What one unit of each further currency is worth in the commonest. codes: of the sample's events. given: --rates.

    Raises AssayError, and Exit(1) where it is to be asked.
    """
    counts = Counter(str(code) for code in codes if code)
    base = commonest_currency(codes)
    others = [code for code, _ in counts.most_common() if code != base]
    if source.event.currency is None or source.event.currency.path is None:
        if given is not None:
            raise AssayError(
                "--rates is for events that name their currency, and the source spec has none: leave it out."
            )
        return {}
    if given == NONE:
        return {}
    if given is not None:
        found = _read(given, base)
        if missing := [code for code in others if code not in found]:
            raise AssayError(f"--rates {given} lacks {', '.join(missing)}, which the sample has: add each.")
        return found
    if others:
        shown = ", ".join(f"{code} ({counts[code]:,})" for code in (base, *others))
        example = ",".join(f"{code}=..." for code in others)
        notes.print("1 to be answered, with an option below:")
        notes.print(f"currencies: the sample's amounts are in {shown}; what is one unit of the others worth in {base}?")
        notes.print(f"    --rates {example}    converted at these fixed rates before anything adds them up")
        notes.print(f"    --rates {NONE}    events in another currency than {base} become dead letters")
        raise typer.Exit(1)
    return {}


def _read(given: str, base: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in given.split(","):
        match = _ONE.fullmatch(part.strip())
        try:
            rate = float(match[2]) if match else 0.0
        except ValueError:
            rate = 0.0
        if match is None or not RATE_MIN <= rate <= RATE_MAX:
            raise AssayError(f"--rates {part} is not CODE=NUMBER, as in SEK=0.088: correct it.")
        if match[1] == base:
            raise AssayError(f"--rates {part}: {base} is what the others are worth in; leave it out.")
        found[match[1]] = rate
    return found
