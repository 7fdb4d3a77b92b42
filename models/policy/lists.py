"""What a compiled policy asks lists. The table behind it is a service's."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Lists(Protocol):
    """The lists as they are known to a batch."""

    def contains(
        self,
        list_name: str,
        column_name: str,
        values: Sequence[str | None] | NDArray[np.float64],
        event_time_ms: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """bool[n]: which values are on the list. None, or NaN, never is. Equal values may come many times.

        column_name: the field or attribute asked, the event's own as outputs have them (card_id). event_time_ms: when each
        event happened, for entries that expire: a decision depends on the log alone, never on a wall clock.
        """
