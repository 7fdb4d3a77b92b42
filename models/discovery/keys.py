"""A topic's keys beside its fields: whether a field is the key, and whether what it names stays on one partition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.discovery.columns import Column
from models.discovery.sample import Record

EQUAL_SHARE = 0.99
Place = Callable[[bytes, int], int]
"""On which of so many partitions Kafka's own partitioner puts a key."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Of a sample. partitions: 0 for a file, which has no keys. place: the partitioner."""

    records: Sequence[Record]
    partitions: int = 0
    place: Place | None = None

    def equal(self, column: Column) -> bool:
        """Whether the records' key is this field."""
        keyed = [(self.records[row].key, value) for row, value in self._pairs(column)]
        same = sum(key is not None and key.decode(errors="replace").strip('"') == value for key, value in keyed)
        return bool(self.partitions and keyed) and same >= EQUAL_SHARE * len(keyed)

    def placed(self, column: Column) -> int:
        """How many records lie where Kafka's partitioner puts this field."""
        assert self.place is not None
        where = {value: self.place(value.encode(), self.partitions) for value in set(column.as_text)}
        return sum(self.records[row].partition == where[value] for row, value in self._pairs(column))

    def staying(self, column: Column) -> tuple[int, int]:
        """How many of those that come again stay on one partition, and how many come again."""
        seen: dict[str, list[int]] = {}
        for row, value in self._pairs(column):
            seen.setdefault(value, []).append(self.records[row].partition)
        again = [found for found in seen.values() if len(found) > 1]
        return sum(len(set(found)) == 1 for found in again), len(again)

    def split(self, column: Column) -> str | None:
        """Why a scorer cannot read the topic itself; None where it can, or where no keys say it."""
        if not self.partitions or self.place is None:
            return None
        off = len(column.as_text) - self.placed(column)
        if not off:
            return None
        return (
            f"{off:,} of {len(column.as_text):,} records lie on another partition than the hash of {column.path} gives, so "
            "intake brings each subject's together"
        )

    def words(self, column: Column) -> list[str]:
        """What a topic's keys say of this field; nothing for a file."""
        if not self.partitions:
            return []
        found = ["it is the key" if self.equal(column) else "it is not the key"]
        if self.place is not None and self.partitions > 1:
            pairs = len(column.as_text)
            found.append(f"{self.placed(column):,} of {pairs:,} records lie where its hash puts them")
            stay, again = self.staying(column)
            found.append(f"{stay:,} of {again:,} that come again stay on one partition")
        return found

    def _pairs(self, column: Column) -> list[tuple[int, str]]:
        return [
            (row, str(value))
            for row, value in zip(column.rows, column.values, strict=True)
            if type(value) in (str, int) and value != ""
        ]
