"""The lists as a table that follows `lists`."""

from collections.abc import Sequence

from models.lists import spans, texts
from models.lists.lists import Lists
from schemas import codec
from schemas.lists import ListEntry, entry_key, entry_problem, parts_of, plain_values
from schemas.topics import LISTS
from services.engine.batches import Record
from services.engine.tables import each
from services.observability.metrics import Metrics
from services.signed_entries import EntryGuard

_decode = codec.decoder(ListEntry)
_decode_all = codec.batch_decoder(ListEntry)


class ListTable:
    """The lists made of the topic's records below `next_offset`. The same records in the same order give the same answers."""

    def __init__(self, metrics: Metrics | None = None, guard: EntryGuard | None = None) -> None:
        """guard: judges which records count; without, all do."""
        spans.warm()
        texts.warm()
        self.lists = Lists()
        self.next_offset = 0
        self._guard = guard
        self._metrics = metrics or Metrics()

    def apply(self, records: Sequence[Record]) -> None:
        """Take in the next records. One that is no entry, or that too few persons signed, is skipped, counted and logged."""
        counted = records if self._guard is None else self._counted(records, self._guard)
        if not self._take_values(counted):
            each(LISTS, counted, self._take, self._metrics)
        if records:
            self.next_offset = records[-1].offset + 1
        self._metrics.list_entries.set(len(self.lists))

    @property
    def persons(self) -> str | None:
        """Whose signatures counted, by the name that outputs have; None where none were asked for."""
        return None if self._guard is None else self._guard.name

    def _counted(self, records: Sequence[Record], guard: EntryGuard) -> list[Record]:
        found: list[Record] = []

        def check(record: Record) -> None:
            guard.check(record)
            found.append(record)

        each(LISTS, records, check, self._metrics)
        return found

    def _take_values(self, records: Sequence[Record]) -> bool:
        """All of many records at once, where each is a value's; False where one has to look at each."""
        if len(records) < 2 or not all(record.value for record in records):
            return False
        entries = _decode_all([record.value for record in records])
        if not entries or any(record.key != entry_key(entry) for record, entry in zip(records, entries, strict=True)):
            return False
        return plain_values(entries) and self.lists.put_values(entries)

    def _take(self, record: Record) -> None:
        """Raises RejectedError, ValueError."""
        if not record.value:  # by a tool of somebody's: our own commands write who takes an entry back
            self.lists.remove(*parts_of(record.key or b""))
            return
        entry = _decode(record.value)
        if record.key != entry_key(entry):
            raise codec.SchemaError("the key is not the entry's")
        if problem := entry_problem(entry):
            raise codec.SchemaError(problem)
        self.lists.put(entry)
