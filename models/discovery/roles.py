"""Which fields are the event's own: id, time, subject, counterparty, amount. What is ambiguous is asked, never guessed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models.discovery import vocabulary
from models.discovery.columns import Column
from models.discovery.draft import Answers, Fields, Guess, Option, Question, described, named, number_words, share_words
from models.discovery.keys import Keys
from models.discovery.moments import SPREAD_MS_MAX, Reading, readings
from models.discovery.sample import DiscoveryError
from schemas.paths import parts

NONE = "none"
UNIQUE_SHARE = 0.995
OPTIONS_MAX = 8
ID_CHARACTERS_MAX = 64
FEW, FEW_SUBJECTS = 50, 4
"""Of fewer records anything may be a subject; of more, no field of so few values."""

WHOLE_AMOUNTS_MIN = 20

CODE = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What guesses are made from. times: how each column can be read as a time."""

    columns: dict[str, Column]
    times: dict[str, list[Reading]]
    keys: Keys
    answers: Answers
    table: bool = False


def times_of(columns: dict[str, Column], answers: Answers) -> dict[str, list[Reading]]:
    """The columns that can be times."""
    found = {}
    for path, column in columns.items():
        if not column.is_scalar or column.is_bool or column.holds_card_numbers or path == answers.label:
            continue
        ways = readings(column, answers.time_zone)
        if answers.date_order:
            other = "month_first" if answers.date_order == "dmy" else "day_first"
            ways = [way for way in ways if not getattr(way, other)] or ways
        if ways and ways[0].unit and not vocabulary.TIME & set(column.words):
            ways = [way for way in ways if way.high_ms - way.low_ms <= SPREAD_MS_MAX and way.unit == "ms"]
        if ways:
            found[path] = ways
    return found


def own_fields(seen: Seen) -> dict[str, Guess | Question]:
    """The event's own fields, in the order of a spec."""
    subject = _subject(seen)
    taken = {_path(subject)}
    counterparty = _counterparty(seen, taken)
    taken.add(_path(counterparty))
    found: dict[str, Guess | Question | None] = {"id": _id(seen), "time": _time(seen), "subject": subject}
    found["counterparty"] = counterparty
    amount = _amount(seen)
    found["amount"] = amount
    found["currency"] = _currency(seen, _path(amount))
    taken |= {_path(part) for part in found.values()}
    for name, fits in SMALL.items():
        found[name] = _small(seen, name, fits, taken)
    return {name: part for name, part in found.items() if part is not None}


def _path(part: Guess | Question | None) -> str:
    return str(part.fields.get("path", "")) if isinstance(part, Guess) else ""


def _ids(seen: Seen) -> list[Column]:
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


def _options(role: str, columns: Sequence[Column], meaning: Callable[[Column], str]) -> list[Option]:
    return [
        Option(f"--{role} {column.path}", {"path": column.path}, meaning(column)) for column in columns[:OPTIONS_MAX]
    ]


def _id(seen: Seen) -> Guess | Question:
    if seen.answers.id:
        column = named(seen.columns, seen.answers.id, "id")
        return Guess({"path": column.path}, [described(column), "as you said"])
    found = [
        column
        for column in _ids(seen)
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
        return Question("id", words, _options("id", best or found, described))
    words = "no field is different in every record; which one is the event's id?"
    some = sorted(_ids(seen), key=lambda column: -len(column.counts))
    return Question("id", words, _options("id", some[:3], described))


def _subject(seen: Seen) -> Guess | Question:
    if seen.answers.subject:
        column = named(seen.columns, seen.answers.subject, "subject")
        if column.holds_card_numbers:
            raise DiscoveryError(
                f"{column.path} holds card numbers, which Assay refuses: replace them by pseudonyms first, see `assay privacy "
                "pseudonyms --help`."
            )
        return Guess({"path": column.path}, [described(column), *seen.keys.words(column), "as you said"])
    found = [column for column in _ids(seen) if vocabulary.SUBJECT & column.all_words and _repeats(column)]
    found = [column for column in found if not vocabulary.NO_PARTY & set(column.words)]
    if len(found) == 1:
        return Guess({"path": found[0].path}, [described(found[0]), *seen.keys.words(found[0])])
    cards = [column.path for column in seen.columns.values() if column.holds_card_numbers]
    more = f" ({', '.join(cards)} holds card numbers: give pseudonyms, see `assay privacy pseudonyms`)" if cards else ""
    if not found:
        found = [column for column in _ids(seen) if _repeats(column) and not column.is_category]

    def meaning(column: Column) -> str:
        return "; ".join([described(column), *seen.keys.words(column)])

    return Question(
        "subject",
        f"whose history comes first, the card, the account, the customer?{more}",
        _options("subject", found, meaning),
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
        column = named(seen.columns, seen.answers.counterparty, "counterparty")
        return Guess(_optional(column), [described(column), "as you said"])
    found = [column for column in _ids(seen) if vocabulary.COUNTERPARTY & column.all_words and column.path not in taken]
    found = [
        column
        for column in found
        if not vocabulary.NO_PARTY & set(column.words)
        and not column.personal
        and (_named_id(column) or not column.is_category)
    ]
    ids = [column for column in found if _named_id(column)]
    found = ids or found
    if not found:
        return None
    if len(found) == 1:
        return Guess(_optional(found[0]), [described(found[0])])
    options = _options("counterparty", found, described)
    return Question(
        "counterparty",
        "which one is the other side, the merchant, the terminal, the payee?",
        [*options, Option(f"--counterparty {NONE}", None, "no other side")],
    )


def _named_id(column: Column) -> bool:
    words = column.words
    return bool({"id", "token", "number", "no", "code", "account", "iban"} & set(words)) or len(parts(column.path)) == 1


def _optional(column: Column) -> Fields:
    return {"path": column.path} | ({"required": False} if column.null_share else {})


def _time(seen: Seen) -> Guess | Question:
    answers = seen.answers
    if answers.time:
        column = named(seen.columns, answers.time, "time")
        return _written(seen, column, seen.times.get(column.path) or readings(column, answers.time_zone))
    found = {path: ways for path, ways in seen.times.items() if "[" not in path}
    most = max((len(seen.columns[path].held) for path in found), default=0)
    clocks = {
        path: ways
        for path, ways in found.items()
        if not all(way.dated_only for way in ways) and len(seen.columns[path].held) >= 0.5 * most
    }
    found = clocks or found
    found = {path: ways for path, ways in found.items() if len(seen.columns[path].counts) > 1} or found
    if len(found) == 1:
        ((path, ways),) = found.items()
        return _written(seen, seen.columns[path], ways)
    if found:
        options = [
            Option(
                f"--time {path}",
                {"path": path, **ways[0].fields(answers.time_zone)},
                f"{ways[0].words()}, {ways[0].ends()}",
            )
            for path, ways in found.items()
        ]
        return Question("time", "which one is the time of the event?", options[:OPTIONS_MAX])
    named_so = [
        column
        for column in seen.columns.values()
        if column.is_scalar and (vocabulary.TIME | {"step"}) & set(column.words)
    ]
    words = "no field can be read as a time between 1980 and 2100; which one is it, and how is it written?"
    return Question(
        "time",
        words,
        [Option(f"--time {column.path} --time-format ...", None, described(column)) for column in named_so[:4]],
    )


def _written(seen: Seen, column: Column, ways: list[Reading]) -> Guess | Question:
    """How the time of the event is written."""
    answers, time = seen.answers, f"--time {column.path}"
    if answers.time_unit or answers.time_format:
        fields: Fields = {"path": column.path}
        fields |= {"unit": answers.time_unit} if answers.time_unit else {"format": answers.time_format}
        local = answers.time_format not in (None, "iso8601") and "%z" not in str(answers.time_format)
        if local and not answers.time_zone:
            return _zone_question("time", column, f"{time} --time-format '{answers.time_format}'")
        return Guess(fields | ({"time_zone": answers.time_zone} if local else {}), [described(column), "as you said"])
    if not ways:
        words = f"{column.path} is no time from 1980 to 2100 in any form that is known; how is it written?"
        return Question("time", words, [Option(f"{time} --time-format ...", None, described(column))])
    return written_time("time", column, ways, answers)


def written_time(field: str, column: Column, ways: list[Reading], answers: Answers) -> Guess | Question:
    """A time as it is written, or the question that decides between the ways."""
    if len(ways) > 1:
        if any(way.day_first for way in ways) and any(way.month_first for way in ways):
            options = [
                Option(
                    f"--date-order {'dmy' if way.day_first else 'mdy'}",
                    {"path": column.path, **way.fields(answers.time_zone)},
                    f"{way.format}: {way.ends()}",
                )
                for way in ways[:2]
            ]
            return Question(field, f"{column.path}: does the day or the month come first? No record shows it.", options)
        options = [
            Option(
                f"--time-unit {way.unit}" if way.unit else f"--time-format '{way.format}'",
                {"path": column.path, **way.fields(answers.time_zone)},
                way.ends(),
            )
            for way in ways
        ]
        return Question(field, f"{column.path} can be read in several ways; which one is meant?", options)
    (way,) = ways
    if way.local and not answers.time_zone:
        return _zone_question(field, column, "", way)
    evidence = [described(column), f"{way.words()} gives {way.ends()} (UTC)"]
    if way.share < 1:
        evidence.append(f"{share_words(1 - way.share)} cannot be read so")
    return Guess({"path": column.path, **way.fields(answers.time_zone)}, evidence)


def _zone_question(field: str, column: Column, before: str, way: Reading | None = None) -> Question:
    fields: Fields | None = {"path": column.path, "format": way.format, "time_zone": "UTC"} if way else None
    meaning = f"{way.ends()} there" if way else "as given"
    return Question(
        field,
        f"{column.path} is a local time without its zone; which zone is it in?",
        [
            Option(f"{before} --time-zone UTC".strip(), fields, meaning),
            Option(
                f"{before} --time-zone Europe/Paris".strip(),
                fields and {**fields, "time_zone": "Europe/Paris"},
                "or another",
            ),
        ],
    )


def _amount(seen: Seen) -> Guess | Question:
    answers = seen.answers
    if answers.amount:
        return _scaled(seen, named(seen.columns, answers.amount, "amount"))
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
    return Question("amount", words, _options("amount", candidates, described))


def _scaled(seen: Seen, column: Column) -> Guess | Question:
    """Whether it is in the currency's main unit, and what a negative one means."""
    scale = _scale(seen, column)
    if isinstance(scale, Question):
        return scale
    fields, evidence = scale
    fields = {"path": column.path, **fields}
    evidence = [described(column), *evidence]
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
            given = [float(amounts[row]) for row in rows if amounts.get(row) not in (None, "")]
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
    if vocabulary.MINOR & column.all_words:
        return {"scale": 2}, [f"called minor units, so 2 decimal places: {ends}"]
    options = [
        Option("--amount-scale 2", {"path": column.path, "scale": 2}, f"minor units (cents): {ends}"),
        Option("--amount-scale 0", {"path": column.path}, f"main units: {number_words(low)} to {number_words(high)}"),
    ]
    return Question("amount", f"{column.path} has whole numbers alone; are they in main or in minor units?", options)


def _currency(seen: Seen, amount: str) -> Guess | None:
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
    beside = [column for column in found if amount and parts(column.path)[:-1] == parts(amount)[:-1]]
    found = beside if len(beside) == 1 else found
    return Guess({"path": found[0].path}, [described(found[0])]) if len(found) == 1 else None


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
