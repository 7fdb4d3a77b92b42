"""Which field is the time of an event, and how times are written."""

from models.discovery import vocabulary
from models.discovery.columns import Column
from models.discovery.draft import Answers, Fields, Guess, Option, Question, described, named, share_words
from models.discovery.moments import SPREAD_MS_MAX, Reading, readings
from models.discovery.seen import OPTIONS_MAX, Seen


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


def time(seen: Seen) -> Guess | Question:
    """The time of the event."""
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
