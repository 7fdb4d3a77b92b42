"""A batch of transactions as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.features import index

NO_VALUE = "\0"
"""Stands for an id that the payment lacks: those without one share a history."""


@dataclass(frozen=True, slots=True)
class TransactionColumns:
    """n validated transactions in log order: ids not empty, amounts finite.

    ids: n strings for each id field that the feature spec reads (`layout.id_fields`). event_time_ms: int64[n], ms since
    1970-01-01 UTC. amount: float64[n], currency's main unit. arrived_ms: int64[n], timestamps of the records in the log; None
    for payments that come from no log. numbers: float64[n] for each attribute that the spec reads as
    one, NaN where it is missing. entities: float32[n, K], values of the features of entities in the order of
    `entities.places`, where they are known; else these features are 0.
    """

    ids: Mapping[str, Sequence[str]]
    event_time_ms: NDArray[np.int64]
    amount: NDArray[np.float64]
    arrived_ms: NDArray[np.int64] | None = None
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    entities: NDArray[np.float32] | None = None
    _keys: dict[str, index.Keys] = field(init=False, default_factory=dict, repr=False, compare=False)

    def keys(self, name: str) -> index.Keys:
        """The ids of a field as `index.keys_of` has them, made once."""
        if name not in self._keys:
            self._keys[name] = index.keys_of(self.ids[name])
        return self._keys[name]

    def __len__(self) -> int:
        return len(self.event_time_ms)

    def __getitem__(self, rows: slice) -> "TransactionColumns":
        ids = {field: values[rows] for field, values in self.ids.items()}
        arrived_ms = None if self.arrived_ms is None else self.arrived_ms[rows]
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        entities = None if self.entities is None else self.entities[rows]
        return TransactionColumns(ids, self.event_time_ms[rows], self.amount[rows], arrived_ms, numbers, entities)
