"""Which fields are the event's own: its id, its parties, and the further ones. What is ambiguous is asked, never guessed."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, islice

from models.discovery import vocabulary
from models.discovery.amounts import amount, currency
from models.discovery.columns import Column, joined_column
from models.discovery.draft import Fields, Guess, Option, Question, described, located
from models.discovery.sample import DiscoveryError
from models.discovery.seen import NONE, Seen, ids, options
from models.discovery.times import time
from schemas.paths import parts

UNIQUE_SHARE = 0.995
PAIRED_MAX, PAIRS_SHOWN_MAX = 12, 4
FEW, FEW_SUBJECTS = 50, 4
"""Of fewer records anything may be a subject; of more, no field of so few values."""


def own_fields(seen: Seen) -> dict[str, Guess | Question]:
    """The event's own fields, in the order of a spec."""
    subject = _subject(seen)
    taken = {*_read(subject)}
    counterparty = _counterparty(seen, taken)
    taken |= {*_read(counterparty)}
    found: dict[str, Guess | Question | None] = {"id": _id(seen), "time": time(seen), "subject": subject}
    found["counterparty"] = counterparty
    found["amount"] = amount(seen)
    found["currency"] = currency(seen, next(iter(_read(found["amount"])), ""))
    taken |= {path for part in found.values() for path in _read(part)}
    for name, fits in SMALL.items():
        found[name] = _small(seen, name, fits, taken)
    return {name: part for name, part in found.items() if part is not None}


def _read(part: Guess | Question | None) -> Sequence[str]:
    """The paths that a field is made of."""
    if not isinstance(part, Guess):
        return ()
    return part.fields.get("join") or [part.fields.get("path", "")]


def _id(seen: Seen) -> Guess | Question:
    if seen.answers.id:
        column, fields = located(seen.columns, seen.answers.id, "id")
        return Guess(fields, [described(column), "as you said"])
    found = [
        column
        for column in ids(seen)
        if len(column.counts) >= UNIQUE_SHARE * len(column.held) and len(column.held) > 1 and not column.is_category
    ]
    most = max((len(column.held) for column in found), default=0)
    found = [column for column in found if len(column.held) == most]
    best = [
        column
        for column in found
        if "".join(column.words) in vocabulary.ID_NAMES or "".join(column.words[-2:]) in vocabulary.ID_NAMES
    ]
    if len(found) == 1 or len(best) == 1:
        column = (best or found)[0]
        repeated = len(column.held) - len(column.counts)
        evidence = [described(column), f"{repeated} repeated" if repeated else "each one once in the sample"]
        others = [other.path for other in found if other is not column]
        return Guess({"path": column.path}, [*evidence, *([f"as unique: {', '.join(others[:3])}"] if others else [])])
    if found:
        words = "several fields are different in every record; which one is the event's id?"
        return Question("id", words, options("id", best or found, described))
    words = "no field is different in every record; which one is the event's id, or which ones together?"
    some = [column for column in ids(seen) if not column.is_ip and not vocabulary.AMOUNT & column.all_words]
    some.sort(key=lambda column: -len(column.counts))
    return Question("id", words, [*islice(_pairs(some), PAIRS_SHOWN_MAX), *options("id", some[:3], described)])


def _pairs(columns: Sequence[Column]) -> Iterator[Option]:
    """Two fields that are together different in every record: a branch and a number within it."""
    for one, other in combinations(columns[:PAIRED_MAX], 2):
        # the one of fewer values first, as people number things; only the last part may hold what separates them
        first, last = sorted((one, other), key=lambda column: (len(column.counts), column.path))
        made = joined_column([first, last])
        if len(made.values) == made.records == len(set(made.values)) and not any("/" in text for text in first.as_text):
            fields: Fields = {"join": [first.path, last.path]}
            yield Option(f"--id {first.path},{last.path}", fields, "together different in every record")


def _subject(seen: Seen) -> Guess | Question:
    if seen.answers.subject:
        column, fields = located(seen.columns, seen.answers.subject, "subject")
        if column.holds_card_numbers:
            raise DiscoveryError(
                f"{column.path} holds card numbers, which Assay refuses: replace them by pseudonyms first, see `assay privacy "
                "pseudonyms --help`."
            )
        return Guess(fields, [described(column), *seen.keys.words(column), "as you said"])
    found = [
        column
        for column in ids(seen)
        if vocabulary.SUBJECT & column.all_words and _repeats(column) and not column.is_ip
    ]
    found = [column for column in found if not vocabulary.NO_PARTY & set(column.words)]
    if len(found) == 1:
        return Guess({"path": found[0].path}, [described(found[0]), *seen.keys.words(found[0])])
    cards = [column.path for column in seen.columns.values() if column.holds_card_numbers]
    more = f" ({', '.join(cards)} holds card numbers: give pseudonyms, see `assay privacy pseudonyms`)" if cards else ""
    if not found:
        found = [column for column in ids(seen) if _repeats(column) and not column.is_category]

    def meaning(column: Column) -> str:
        return "; ".join([described(column), *seen.keys.words(column)])

    return Question(
        "subject",
        f"whose history comes first, the card, the account, the customer?{more}",
        options("subject", found, meaning),
    )


def _repeats(column: Column) -> bool:
    """Whether it names something that comes again, or may: no column that is different each time, none of a few values."""
    if len(column.held) < FEW:
        return True
    return FEW_SUBJECTS < len(column.counts) < UNIQUE_SHARE * len(column.held)


def _counterparty(seen: Seen, taken: set[str]) -> Guess | Question | None:
    if seen.answers.counterparty == NONE:
        return None
    if seen.answers.counterparty:
        column, fields = located(seen.columns, seen.answers.counterparty, "counterparty")
        return Guess(fields | _lacking(column), [described(column), "as you said"])
    found = [column for column in ids(seen) if vocabulary.COUNTERPARTY & column.all_words and column.path not in taken]
    found = [
        column
        for column in found
        if not vocabulary.NO_PARTY & set(column.words)
        and not column.personal
        and (_named_id(column) or not column.is_category)
    ]
    found = [column for column in found if _named_id(column)] or found
    if not found:
        return None
    if len(found) == 1:
        return Guess({"path": found[0].path, **_lacking(found[0])}, [described(found[0])])
    sides = options("counterparty", found, described)
    return Question(
        "counterparty",
        "which one is the other side, the merchant, the terminal, the payee?",
        [*sides, Option(f"--counterparty {NONE}", None, "no other side")],
    )


def _named_id(column: Column) -> bool:
    words = column.words
    return bool({"id", "token", "number", "no", "code", "account", "iban"} & set(words)) or len(parts(column.path)) == 1


def _lacking(column: Column) -> Fields:
    return {"required": False} if column.null_share else {}


SMALL: dict[str, Callable[[Column], bool]] = {
    "mcc": lambda column: (
        bool({"mcc"} & set(column.words) or {"category", "merchant"} <= column.all_words)
        and all(re.fullmatch(r"\d{3,4}", str(value)) for value in column.counts)
    ),
    "country": lambda column: (
        "country" in column.words and all(re.fullmatch(r"[A-Z]{2,3}", str(value)) for value in column.counts)
    ),
    "channel": lambda column: "channel" in column.words and column.is_category,
}


def _small(seen: Seen, name: str, fits: Callable[[Column], bool], taken: set[str]) -> Guess | None:
    """One of the further fields that every source may have; an attribute where there are several."""
    found = [
        column
        for path, column in seen.columns.items()
        if column.is_text and path not in taken and path not in seen.times and "[" not in path and fits(column)
    ]
    return Guess({"path": found[0].path}, [described(found[0])]) if len(found) == 1 else None
