"""From a sample to a draft of its source spec."""

import re
from collections.abc import Sequence

from models.discovery import vocabulary
from models.discovery.attributes import attributes_of, is_label
from models.discovery.columns import Column, columns_of, joined_column
from models.discovery.draft import Answers, Draft, Fields, Guess, Question, named, share_words, values_words
from models.discovery.keys import Keys, Place
from models.discovery.moments import check_zone
from models.discovery.roles import own_fields
from models.discovery.sample import DiscoveryError, Sample, objects
from models.discovery.seen import Seen
from models.discovery.times import times_of

WHOLE_SHARE = 0.99
"""From this share on a value's records are taken to be all of one kind."""


def infer(sample: Sample, answers: Answers, place: Place | None = None) -> Draft:
    """What the sample seems to hold. place: Kafka's partitioner. Raises DiscoveryError."""
    check_zone(answers.time_zone)
    records = objects(sample)
    columns, notes = columns_of(records)
    if answers.label is not None:
        named(columns, answers.label, "label")
    columns, firsts = _first_writes(columns, sample.envelope)
    kept, select = _selected(columns, answers)
    seen = Seen(kept, times_of(kept, answers), Keys(sample.records, sample.partitions, place), answers, sample.table)
    draft = Draft(answers.topic or topic_name(sample), sample.format, sample.envelope, label=answers.label)
    draft.about = [*_about(sample, records), *sample.notes, *notes]
    draft.select = [*firsts, *select]
    draft.event = own_fields(seen)
    subject = draft.event["subject"]
    if isinstance(subject, Guess) and (sample.format, sample.envelope) == ("json", "none"):
        draft.routed = seen.keys.split(_column(kept, subject.fields))
    taken = {str(value) for part in draft.event.values() for value in _paths(part)}
    draft.label = answers.label or _label(columns)
    draft.attributes, draft.left_out = attributes_of(seen, taken, answers.label)
    draft.splits = [
        Guess({"path": column.path, "in": [column.counts.most_common(1)[0][0]]}, [values_words(column)])
        for column in columns.values()
        if column.showable and vocabulary.SPLIT & set(column.words)
    ]
    return draft


def label_in(sample: Sample, label: str | None) -> tuple[str, float]:
    """The field that says what a payment turned out to be, and the share of frauds, its rarer value. Raises DiscoveryError.

    label: the field, where it is given; else the one that seems to.
    """
    records = objects(sample)
    columns, _ = columns_of(records)
    found = named(columns, label, "label").path if label is not None else _label(columns)
    if found is None:
        raise DiscoveryError(f"No one field of {sample.name} seems to say what was fraud: name it with --label.")
    counts = columns[found].counts
    return found, min(counts.values()) / len(records) if len(counts) > 1 else 0.0


def _label(columns: dict[str, Column]) -> str | None:
    labels = [path for path, column in columns.items() if is_label(column)]
    return labels[0] if len(labels) == 1 else None


def topic_name(sample: Sample) -> str:
    """The topic's own name; of a file, its name as a topic may have it."""
    if sample.of_topic:
        return sample.name
    stem = sample.name.split("/")[-1].split(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "events"


def _about(sample: Sample, records: Sequence[object]) -> list[str]:
    bad = sum(record is None for record in records)
    where = f"{sample.partitions} partitions of the topic {sample.name}" if sample.of_topic else f"{sample.name}"
    words = [f"inferred from {len(records):,} records of {where}"]
    return [*words, *([f"{bad:,} of them are no objects of JSON: they would be dead letters"] if bad else [])]


def _paths(part: Guess | Question) -> list[object]:
    if isinstance(part, Question):
        return [option.fields["path"] for option in part.options if option.fields and "path" in option.fields]
    scale = part.fields.get("scale")
    return [
        part.fields.get("path"),
        *part.fields.get("join", ()),
        *([scale["path"]] if isinstance(scale, dict) else []),
    ]


def _column(columns: dict[str, Column], fields: Fields) -> Column:
    """What a field is read from."""
    if "join" in fields:
        return joined_column([columns[path] for path in fields["join"]])
    return columns[fields["path"]]


def _first_writes(columns: dict[str, Column], envelope: str) -> tuple[dict[str, Column], list[Guess]]:
    """Of Debezium's changes: the rows as they were first written, and the condition that leaves later changes out.

    What the envelope itself says of a change (`__op`, `__source`, ...) is no field of an event.
    """
    op = columns.get("__op")
    if envelope != "debezium" or op is None:
        return columns, []
    gone = {row for row, value in zip(op.rows, op.values, strict=True) if value == "u"}
    if len(gone) == op.records:
        gone = set()
    evidence = f"u ({len(gone):,} records) is a later change of a row, with the id of an event that was there already"
    kept = {path: _without(column, gone) for path, column in columns.items() if not path.startswith("__")}
    return kept, [Guess({"not": {"path": "__op", "equals": "u"}}, [evidence])]


def _selected(columns: dict[str, Column], answers: Answers) -> tuple[dict[str, Column], list[Guess]]:
    """The columns without the records of a kind that lacks what the others have; and the condition that leaves them out.

    A value of a field such as `type` whose records have no amount, or no time, cannot be of events.
    """
    found: list[Guess] = []
    for column in columns.values():
        if not column.showable or not vocabulary.SPLIT & set(column.words) or column.path == answers.label:
            continue
        rows: dict[object, set[int]] = {}
        for row, value in zip(column.rows, column.values, strict=True):
            rows.setdefault(value, set()).add(row)
        lacking = {value: _lacks(columns, rows[value]) for value in rows}
        out = [value for value, without in lacking.items() if without]
        if out and len(out) < len(rows):
            gone = set().union(*(rows[value] for value in out))
            words = [
                f"{column.path} {value} ({len(rows[value]):,} records, {share_words(len(rows[value]) / column.records)}) has "
                f"no {lacking[value]}"
                for value in out
            ]
            columns = {path: _without(other, gone) for path, other in columns.items()}
            found.append(Guess({"not": {"path": column.path, "in": out}}, words))
            break
    return columns, found


def _lacks(columns: dict[str, Column], rows: set[int]) -> str | None:
    """The first field called an amount that nearly all other records have, and nearly none of these."""
    for column in columns.values():
        if not ({"amount", "amt"} & column.all_words and column.is_number):
            continue
        within = sum(row in rows for row in column.rows)
        others = len(column.rows) - within
        if within <= (1 - WHOLE_SHARE) * len(rows) and others >= WHOLE_SHARE * (column.records - len(rows)) > 0:
            return column.path
    return None


def _without(column: Column, gone: set[int]) -> Column:
    kept = [(row, value) for row, value in zip(column.rows, column.values, strict=True) if row not in gone]
    return Column(column.path, [value for _, value in kept], [row for row, _ in kept], column.records - len(gone))


__all__ = ["Answers", "DiscoveryError", "Draft", "infer", "label_in", "topic_name"]
