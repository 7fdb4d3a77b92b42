"""The lists as a table that follows `lists`."""

from collections.abc import Sequence

from models.lists.lists import Lists
from models.lists.spans import warm
from schemas import codec
from schemas.lists import ListEntry, entry_key, entry_problem, parts_of
from schemas.topics import LISTS
from services.engine.batches import Record
from services.engine.tables import each
from services.observability.metrics import Metrics

_decode = codec.decoder(ListEntry)


class ListTable:
    """The lists made of the topic's records below `next_offset`. The same records in the same order give the same answers."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        warm()
        self.lists = Lists()
        self.next_offset = 0
        self._metrics = metrics or Metrics()

    def apply(self, records: Sequence[Record]) -> None:
        """Take in the next records. One that is no entry is skipped, counted and logged."""
        each(LISTS, records, self._take, self._metrics)
        if records:
            self.next_offset = records[-1].offset + 1
        self._metrics.list_entries.set(len(self.lists))

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
