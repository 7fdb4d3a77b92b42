"""Which field is the amount, in which unit, of which sign and currency."""

import re
from typing import Any

from models.discovery import vocabulary
from models.discovery.columns import Column
from models.discovery.draft import Fields, Guess, Option, Question, described, named, number_words, share_words
from models.discovery.sample import DiscoveryError
from models.discovery.seen import NONE, Seen, options
from schemas.currency_decimals import DECIMALS
from schemas.paths import parts

CODE = re.compile(r"[A-Z]{3}")
_WRITTEN = {"drop": "characters that are left out", "decimal": "decimal commas"}
CURRENCY = "currency"
"""The answer that says that decimal places are those of the currency."""


def amount(seen: Seen) -> Guess | Question:
    """The event's amount."""
    answers = seen.answers
    if answers.amount:
        column = named(seen.columns, answers.amount, "amount")
        if len(column.numbers) * 2 < len(column.held):
            raise DiscoveryError(
                f"--amount {column.path} is no amount: {described(column)}. Amounts are numbers, or text such as 1234.50, "
                "$1,234.50 or 1.234,50; name another field, or have the producer write it so."
            )
        return _scaled(seen, column)
    numeric = [
        column
        for path, column in seen.columns.items()
        if column.is_number and path not in seen.times and path != answers.label and "[" not in path
    ]
    found = [
        column
        for column in numeric
        if vocabulary.AMOUNT & column.all_words and not vocabulary.NO_AMOUNT & set(column.words)
    ]
    direct = [column for column in found if vocabulary.AMOUNT & set(column.words)]
    if len(found) > 1 and len(direct) == 1:
        found = direct
    if len(found) == 1:
        return _scaled(seen, found[0])
    words = "which one is the amount?" if found else "no field of numbers is called an amount; which one is it?"
    candidates = found or [column for column in numeric if not column.is_category and not column.personal]
    return Question("amount", words, options("amount", candidates, described))


def _scaled(seen: Seen, column: Column) -> Guess | Question:
    """Whether it is in the currency's main unit, and what a negative one means."""
    scale = _scale(seen, column)
    if isinstance(scale, Question):
        return scale
    fields, evidence = scale
    fields = {"path": column.path, **fields}
    evidence = [described(column), *evidence]
    if column.written:
        fields |= column.written
        evidence.append("texts with " + " and ".join(_WRITTEN[name] for name in column.written))
    negative = [number for number in column.numbers if number < 0]
    share = len(negative) / len(column.numbers) if column.numbers else 0.0
    sign = seen.answers.amount_sign
    if sign is None and share > 0.5:
        return Question(
            "amount",
            f"{share_words(share)} of {column.path} are below 0; what is a payment?",
            [
                Option(
                    "--amount-sign reversed",
                    fields | {"sign": "reversed", "at_least": -1e9},
                    "negative ones are payments",
                ),
                Option("--amount-sign as_given", fields | {"at_least": -1e9}, "negative ones are refunds"),
            ],
        )
    if sign == "reversed":
        fields |= {"sign": "reversed"}
    if negative:
        fields |= {"at_least": -1e9}
        evidence.append(
            f"{len(negative):,} below 0 ({share_words(share)}), so at_least lets them in: refunds are events"
        )
    return _refunds(seen, column, fields, evidence)


def _refunds(seen: Seen, column: Column, fields: Fields, evidence: list[str]) -> Guess | Question:
    answer = seen.answers.refunds
    if answer == NONE:
        return Guess(fields, evidence)
    if answer:
        path, equals, value = answer.partition("=")
        if not equals or not value:
            raise DiscoveryError(f"--refunds {answer} is neither PATH=VALUE nor none: correct it.")
        kind = named(seen.columns, path, "refunds")
        turned: Any = int(value) if kind.kinds.keys() == {"whole number"} and value.isdigit() else value
        return Guess(
            {**fields, "at_least": -1e9, "negative_where": {"path": path, "equals": turned}}, [*evidence, "as you said"]
        )
    amounts = dict(zip(column.rows, column.values, strict=True))
    for kind in seen.columns.values():
        if not kind.showable or kind.path == seen.answers.label:
            continue
        for value in kind.counts:
            if not vocabulary.REFUND & set(re.split(r"[^a-z]+", str(value).lower())):
                continue
            rows = [row for row, found in zip(kind.rows, kind.values, strict=True) if found == value]
            given = [number for row in rows if (number := column.number(amounts.get(row))) is not None]
            if given and min(given) >= 0:
                where = {"at_least": -1e9, "negative_where": {"path": kind.path, "equals": value}}
                return Question(
                    "amount",
                    f"records with {kind.path} {value} have positive amounts ({len(given):,}); what are they?",
                    [
                        Option(
                            f"--refunds {kind.path}={value}",
                            fields | where,
                            "refunds: their amounts are turned negative",
                        ),
                        Option(f"--refunds {NONE}", fields, "events like the others; `select` may leave them out"),
                    ],
                )
    return Guess(fields, evidence)


def _scale(seen: Seen, column: Column) -> tuple[Fields, list[str]] | Question:
    answer = seen.answers.amount_scale
    if answer is not None:
        if answer == CURRENCY:
            return {"scale": CURRENCY}, ["minor units of each event's currency, as you said"]
        if answer.isdigit():
            return ({"scale": int(answer)} if int(answer) else {}), [f"decimal places: {answer}, as you said"]
        return {"scale": {"path": named(seen.columns, answer, "amount-scale").path}}, ["decimal places as you said"]
    if not column.is_whole:
        return {}, ["numbers with decimals, so in the currency's main unit"]
    beside = parts(column.path)[:-1]
    for other in seen.columns.values():
        if parts(other.path)[:-1] != beside or not (other.is_whole and vocabulary.SCALE & set(other.words)):
            continue
        if other.null_share <= column.null_share and 0 <= min(other.numbers) <= max(other.numbers) <= 9:
            return {"scale": {"path": other.path}}, [f"decimal places in {other.path}: {described(other)}"]
    low, high = min(column.numbers), max(column.numbers)
    ends = f"{number_words(low / 100)} to {number_words(high / 100)}"
    codes = _codes(seen, column.path)
    others = sorted(code for code in codes if DECIMALS.get(code) not in (2, None))
    if vocabulary.MINOR & column.all_words and not others:
        return {"scale": 2}, [f"called minor units, so 2 decimal places: {ends}"]
    of_currency = Option(
        f"--amount-scale {CURRENCY}",
        {"path": column.path, "scale": CURRENCY},
        f"minor units of each event's currency: {', '.join(f'{code} has {DECIMALS[code]} places' for code in others[:3])}",
    )
    options = [
        *([of_currency] if others and all(code in DECIMALS for code in codes) else []),
        Option("--amount-scale 2", {"path": column.path, "scale": 2}, f"minor units (cents): {ends}"),
        Option("--amount-scale 0", {"path": column.path}, f"main units: {number_words(low)} to {number_words(high)}"),
    ]
    return Question("amount", f"{column.path} has whole numbers alone; are they in main or in minor units?", options)


def _codes(seen: Seen, amount_path: str) -> list[str]:
    """The currencies that the sample's events are in, as far as they are known."""
    found = currency(seen, amount_path)
    if found is None:
        return []
    fixed = found.fields.get("fixed")
    return [fixed] if fixed else [str(code) for code in seen.columns[found.fields["path"]].counts]


def currency(seen: Seen, amount_path: str) -> Guess | None:
    """Its currency, if it is known."""
    answer = seen.answers.currency
    if answer == NONE:
        return None
    if answer and CODE.fullmatch(answer) and answer not in seen.columns:
        return Guess({"fixed": answer}, ["as you said"])
    if answer:
        column = named(seen.columns, answer, "currency")
        return Guess({"path": column.path}, [described(column), "as you said"])
    found = [
        column
        for column in seen.columns.values()
        if column.held and vocabulary.CURRENCY & column.all_words and all(CODE.fullmatch(str(v)) for v in column.counts)
    ]
    beside = [column for column in found if amount_path and parts(column.path)[:-1] == parts(amount_path)[:-1]]
    found = beside if len(beside) == 1 else found
    return Guess({"path": found[0].path}, [described(found[0])]) if len(found) == 1 else None
