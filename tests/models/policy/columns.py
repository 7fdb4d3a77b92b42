"""A source and features with every type that conditions may read, and batches of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features.spec_file import parse_spec
from models.policy.known import Known, known_columns
from models.policy.program import Batch
from models.sources.spec_file import parse_source

SOURCE = parse_source(
    """
version: 1
topic: payments
event:
  id: {path: id}
  time: {path: at, unit: ms}
  subject: {path: card}
  counterparty: {path: shop, required: false}
  amount: {path: amount}
  country: {path: country}
attributes:
  number: {type: number, path: number}
  other_number: {type: number, path: other_number}
  word: {type: category, path: word}
  other_word: {type: category, path: other_word}
  flag: {type: flag, path: flag}
  other_flag: {type: flag, path: other_flag}
  device: {type: id, path: device}
  home: {type: geo, latitude: home.lat, longitude: home.lon}
"""
)
SPEC = parse_spec(
    """
version: 1
features:
  - {name: amount, kind: field, field: amount}
  - {name: hour_of_day, kind: calendar, part: hour}
"""
)
KNOWN: Known = known_columns(SOURCE, SPEC)
COLUMNS = ("number", "other_number", "word", "other_word", "flag", "other_flag")


class Given:
    """Events whose columns are given."""

    def __init__(self, rows: int, columns: dict[str, Any]) -> None:
        self._columns = {
            "id": [f"e{row}" for row in range(rows)],
            "amount": np.arange(rows, dtype=np.float64),
            **columns,
        }
        self.time_ms = np.arange(rows, dtype=np.int64)

    @property
    def ids(self) -> list[str]:
        """Of the events."""
        ids: list[str] = self._columns["id"]
        return ids

    def column(self, name: str) -> Any:
        """As `Events.column`."""
        return self._columns[name]


def batch(rows: int, columns: dict[str, Any], lists: Any = None, probability: Sequence[float] | None = None) -> Batch:
    """A batch with these columns."""
    scores: NDArray[np.float32] = np.array(probability if probability is not None else np.zeros(rows), np.float32)
    features = np.zeros((rows, len(SPEC.names)), np.float32)
    return Batch(Given(rows, columns), features, scores, np.zeros(rows, np.float32), lists)


def numbers(values: Sequence[float | bool | None]) -> NDArray[np.float64]:
    """As the parser makes them: NaN where there is none."""
    return np.array(values, np.float64)
