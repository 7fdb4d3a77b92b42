"""The state of one partition's fold: the histories of each key, the days of the terminals, and the event-time clock."""

import numpy as np

from models.features.history import Arrays, FeatureStateError, KeyHistory
from models.features.kernel import EMPTY
from models.features.layout import plain, used_keys
from models.features.terminal_days import DaySums, TerminalDays
from schemas.feature_spec import FeatureSpec


class FeatureState:
    """What `fold` changes. clock_ms: newest event time folded (EMPTY before the first).

    cards_max: ids remembered of each key. Everything derives from event time and the log's order.
    """

    def __init__(self, spec: FeatureSpec, cards_max: int) -> None:
        self.spec = spec
        self.plain = plain(spec)
        self.histories = {key: KeyHistory(spec, key, cards_max) for key in used_keys(spec)}
        self.days = TerminalDays() if spec.profiled else None
        self.clock_ms = EMPTY

    @property
    def cards(self) -> int:
        """Ids remembered, of all keys."""
        return sum(history.ids for history in self.histories.values())

    def closed_days(self) -> list[DaySums]:
        """Payments of each terminal on the days that no payment can join any more; told once. Empty without profiles."""
        return self.days.close(self.clock_ms - self.spec.lateness_ms) if self.days else []

    def to_arrays(self) -> Arrays:
        """Copies of everything: `from_arrays` makes a state of them whose every later bit is the same."""
        arrays: Arrays = {
            "spec_digest": np.frombuffer(bytes.fromhex(self.spec.digest()), dtype=np.uint8),
            "clock_ms": np.array([self.clock_ms], dtype=np.int64),
        }
        for history in self.histories.values():
            arrays |= history.to_arrays()
        return arrays | (self.days.to_arrays() if self.days else {})

    @classmethod
    def from_arrays(cls, spec: FeatureSpec, cards_max: int, arrays: Arrays) -> "FeatureState":
        """The state that `to_arrays` described. Raises FeatureStateError where the arrays do not fit."""
        state = cls(spec, cards_max)
        if missing := [name for name in ("spec_digest", "clock_ms") if name not in arrays]:
            raise FeatureStateError(f"The snapshot lacks {', '.join(missing)}; it is rebuilt from the log.")
        if arrays["spec_digest"].tobytes().hex() != spec.digest():
            raise FeatureStateError("The snapshot is of another feature spec; it is rebuilt from the log.")
        for history in state.histories.values():
            history.load(arrays)
        if state.days:
            state.days.load(arrays)
        state.clock_ms = int(arrays["clock_ms"][0])
        return state
