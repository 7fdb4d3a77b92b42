"""Records of a sample as a scorer sees them: judged by its own decoder, placed by its own hash."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.discovery.moments import moment_words
from models.discovery.sample import sampled
from models.sources.events import Events
from models.sources.spec_file import load_source, users_topic
from schemas.source_spec import SourceSpec
from services.cli.files import needing_files
from services.cli.masking import masked
from services.cli.output import results
from services.cli.sources import forms
from services.cli.sources.sampling import is_file, topic_records
from services.engine.decode import Decoder
from services.engine.faults import Fault
from services.engine.placement import Subjects
from services.errors import AssayError
from services.formats.reader import EXPANSION_MAX, PassedOver
from services.scorer.offline import Payload
from services.scorer.processor import Limits
from services.settings.kafka import KafkaSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings

if TYPE_CHECKING:
    from models.files.options import ReadOptions

FAULTS_SHARE_MAX = 0.1
OWN = ("id", "time", "subject", "counterparty", "amount", "currency", "mcc", "country", "channel")
REASONS_SHOWN_MAX = 10

What = Literal["event", "fault", "not selected"]


@dataclass(frozen=True, slots=True)
class Row:
    """One record as Assay sees it. why: of a fault. fields: of an event, by name; None where it has none."""

    where: str
    what: What
    why: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Whether the subject's records lie together. keyed: records whose key is the subject. routed: the spec says so."""

    events: int
    partitions: int
    placed: int
    keyed: int
    as_it_is: bool = True
    routed: bool = False

    @property
    def way(self) -> Literal["direct", "routed"]:
        """How a scorer gets at them."""
        return "direct" if self.as_it_is and self.placed == self.events and not self.routed else "routed"

    def words(self, subject: str) -> str:
        """The way, and why."""
        if self.way == "direct":
            return (
                f"direct: all {self.events:,} events lie on the partition that Kafka's default partitioner gives their "
                f"{subject}, of {self.partitions}; a scorer can read the topic itself."
            )
        if not self.as_it_is:
            return (
                f"routed: the records are no plain JSON, which is all that a scorer reads itself; {self.placed:,} of "
                f"{self.events:,} events lie where the hash of their {subject} puts them."
            )
        if self.routed:
            apart = self.events - self.placed
            why = (
                f"{apart:,} of {self.events:,} events lie on another partition than the hash of their {subject} gives, and"
                if apart
                else f"all {self.events:,} events lie where the hash of their {subject} puts them, but"
            )
            return f"routed, as the spec says: {why} `assay intake` brings each subject's together."
        keyed = f"the record's key is {subject} in {self.keyed:,} of {self.events:,}"
        return (
            f"routed: {self.events - self.placed:,} of {self.events:,} events lie on another partition than the hash of their "
            f"{subject} gives ({keyed}), so a scorer that read the topic itself would split histories; key the records by "
            f"{subject} with Kafka's default partitioner, or write `routed: true` into the spec and run `assay intake`."
        )


@dataclass(frozen=True, slots=True)
class Looked:
    """A sample, judged. placement: of a topic."""

    name: str
    rows: Sequence[Row]
    placement: Placement | None
    repeated_ids: int

    @property
    def counts(self) -> Counter[str]:
        """Of each kind of record."""
        return Counter(row.what for row in self.rows)

    @property
    def reasons(self) -> Counter[str]:
        """Of the faults."""
        return Counter(row.why for row in self.rows if row.what == "fault")

    @property
    def sound(self) -> bool:
        """Whether there are events, and few faults beside them."""
        counts = self.counts
        return bool(counts["event"]) and counts["fault"] <= FAULTS_SHARE_MAX * (counts["event"] + counts["fault"])


def looked_at(
    spec: Path, given: str | None, records_max: int, options: "ReadOptions | None"
) -> tuple[SourceSpec, Looked]:
    """The spec, and a sample judged by it. Raises SourceSpecError, AssayError, TableError."""
    source = load_source(spec)
    name = given or source.topic
    if is_file(name):
        with needing_files():
            from models.discovery.files import some_of
            from models.files.events import records_of
            from models.files.options import ReadOptions
        with some_of(Path(name)) as (short, _):
            found = records_of(short, source, None, None, options or ReadOptions())
        found = [found[place] for place in sampled(len(found), records_max)]
        problems = [record["problem"] for record in found]
        records: Sequence[Any] = [Payload(row, record["payload"]) for row, record in enumerate(found)]
        places = [f"line {record['line']}" for record in found]
        return source, _judged(source, name, records, places, problems, 0)
    users_topic(source)  # raises where only a file can be read by the spec
    records, partitions = asyncio.run(topic_records(load(KafkaSettings), name, records_max))
    places = [f"{record.partition}/{record.offset}" for record in records]
    read = asyncio.run(forms.events(records, forms.Form.of(source), name))
    return source, _judged(source, name, read, places, [None] * len(records), partitions)


def _judged(
    source: SourceSpec,
    name: str,
    records: Sequence[Any],
    places: Sequence[str],
    problems: Sequence[str | None],
    partitions: int,
) -> Looked:
    if not records:
        raise AssayError(f"{name} holds no record: send some first, or give a file with rows.")
    limits = Limits.of(load(RuntimeSettings), load(ScorerSettings))
    bytes_max = limits.message_bytes_max * (1 if source.is_json else EXPANSION_MAX)
    decoder = Decoder(bytes_max, limits.times, scan_ids=limits.scan_ids, source=source)
    rows: list[Row] = []
    kept: list[Any] = []
    for record, place, problem in zip(records, places, problems, strict=True):
        if problem is not None:
            rows.append(Row(place, "fault", problem))
            continue
        if isinstance(record, PassedOver):
            rows.append(Row(place, "not selected", record.why))
            continue
        if isinstance(record, Fault):
            rows.append(Row(place, "fault", f"{record.reason.value}: {record.detail}"))
            continue
        found = decoder.decode([record])
        if found.faults:
            rows.append(Row(place, "fault", f"{found.faults[0].reason.value}: {found.faults[0].detail}"))
        elif found.unselected:
            rows.append(Row(place, "not selected"))
        else:
            kept.append(record)
            rows.append(Row(place, "event", fields=_fields(source, found.events)))
    ids = [str(row.fields["id"]) for row in rows if row.what == "event"]
    placement = _placement(source, rows, kept, partitions) if partitions and kept else None
    return Looked(name, rows, placement, len(ids) - len(set(ids)))


def _fields(source: SourceSpec, events: Events) -> dict[str, Any]:
    """Of one event: its own, and the attributes."""
    found = {name: _value(events.column(name)[0]) for name in OWN}
    for name, attribute in source.attributes.items():
        columns = [f"{name}.latitude", f"{name}.longitude"] if attribute.type == "geo" else [name]
        values = [_value(events.column(column)[0]) for column in columns]
        found[name] = values[0] if len(values) == 1 else None if None in values else values
    return found


def _value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value


def _placement(source: SourceSpec, rows: Sequence[Row], records: Sequence[Any], partitions: int) -> Placement:
    subjects = [str(row.fields["subject"]) for row in rows if row.what == "event"]
    belongs = Subjects.of(subjects).partitions(partitions).tolist()
    placed = sum(record.partition == place for record, place in zip(records, belongs, strict=True))
    keyed = sum(record.key == subject.encode() for record, subject in zip(records, subjects, strict=True))
    return Placement(len(records), partitions, placed, keyed, source.is_json, source.routed)


def chosen(rows: Sequence[Row], number: int) -> list[Row]:
    """Some of the rows, evenly over the sample and in its order: faults and what is not selected, too, where there are any."""
    kinds: list[What] = ["fault", "not selected", "event"]
    by_kind = {kind: [place for place, row in enumerate(rows) if row.what == kind] for kind in kinds}
    taken: list[int] = []
    for kind in kinds:
        share = number - len(taken) if kind == "event" else number // 4
        found = by_kind[kind]
        step = max(1, len(found) // share) if share else 1
        taken += found[::step][:share]
    return [rows[place] for place in sorted(taken)]


def _hidden(source: SourceSpec, unmasked: bool) -> set[str]:
    """Fields whose values are not shown in full."""
    personal = {name for name, attribute in source.attributes.items() if attribute.personal}
    return set() if unmasked else {"subject", *personal}


def as_json(source: SourceSpec, looked: Looked, number: int, *, unmasked: bool) -> dict[str, Any]:
    """For `--json`."""
    hidden = _hidden(source, unmasked)
    return {
        "source": looked.name,
        "counts": {kind: looked.counts[kind] for kind in ("event", "fault", "not selected")},
        "faults": dict(looked.reasons.most_common(REASONS_SHOWN_MAX)),
        "repeated_ids": looked.repeated_ids,
        "way": None if looked.placement is None else looked.placement.way,
        "why": None if looked.placement is None else looked.placement.words(source.event.subject.where),
        "records": [
            {"where": row.where, "what": row.what, "why": row.why or None, "fields": _shown(row.fields, hidden)}
            for row in chosen(looked.rows, number)
        ],
    }


def _shown(fields: dict[str, Any], hidden: set[str]) -> dict[str, Any]:
    return {
        name: masked(str(value)) if name in hidden and value is not None else value for name, value in fields.items()
    }


def show(source: SourceSpec, looked: Looked, number: int, *, unmasked: bool) -> None:
    """A table of records, and what the whole sample comes to."""
    from rich.table import Table

    hidden = _hidden(source, unmasked)
    used = [name for name in OWN if any(row.fields.get(name) is not None for row in looked.rows)]
    table = Table("where", *used, "attributes", box=None)
    for row in chosen(looked.rows, number):
        fields = _shown(row.fields, hidden)
        if row.what != "event":
            table.add_row(row.where, *[""] * len(used), f"FAULT {row.why}" if row.what == "fault" else "not selected")
            continue
        own = [moment_words(fields[name]) if name == "time" else _cell(fields[name]) for name in used]
        further = [f"{name}={_cell(fields[name])}" for name in source.attributes if fields[name] is not None]
        table.add_row(row.where, *own, " ".join(further))
    results.print(table)
    counts = looked.counts
    results.print(
        f"{len(looked.rows):,} records of {looked.name}: {counts['event']:,} events, {counts['fault']:,} faults (dead "
        f"letters), {counts['not selected']:,} not selected (passed over)."
    )
    for reason, times in looked.reasons.most_common(REASONS_SHOWN_MAX):
        results.print(f"  {times:,}: {reason}")
    if looked.repeated_ids:
        results.print(f"{looked.repeated_ids:,} events repeat the id of another: a stream makes dead letters of them.")
    if looked.placement is not None:
        results.print(looked.placement.words(source.event.subject.where))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
