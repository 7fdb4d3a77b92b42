"""A batch of transactions as columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TransactionColumns:
    """n validated transactions in log order: ids not empty, amounts finite and >= 0.

    event_time_ms: int64[n], ms since 1970-01-01 UTC. amount: float64[n], currency's main unit.
    """

    card_id: list[str]
    terminal_id: list[str]
    event_time_ms: NDArray[np.int64]
    amount: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.card_id)

    def __getitem__(self, rows: slice) -> "TransactionColumns":
        return TransactionColumns(
            self.card_id[rows], self.terminal_id[rows], self.event_time_ms[rows], self.amount[rows]
        )
