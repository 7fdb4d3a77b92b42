"""The state of one partition's fold: the histories of each key, the days of the terminals, and the event-time clock."""

import numpy as np
from numpy.typing import NDArray

from models.features.capture import Capture
from models.features.derived import derive
from models.features.history import Arrays, FeatureStateError, KeyHistory
from models.features.inputs import inputs_of
from models.features.kernel import EMPTY, ID_WORDS
from models.features.layout import counted_fields, places, plain, used_keys
from models.features.memory import met_fields
from models.features.terminal_days import DaySums, TerminalDays
from schemas.feature_spec import FeatureSpec

DAY_CLOSES_AFTER_MS = 3_600_000
"""A day of the terminals is over when the clock is so far past it. Not the spec's lateness: see `closed_days`."""


class FeatureState:
    """What `fold` changes. cards_max: ids remembered of each key. Everything derives from event time and the log's order.

    clock, clock_card: see `kernel.move_clock`. in_order: the histories, the card's first, which says what is
    late. keyed: the ids that are looked up.
    """

    def __init__(self, spec: FeatureSpec, cards_max: int) -> None:
        self.spec = spec
        self.plain, self.inputs, self.derive = plain(spec), inputs_of(spec), derive(spec)
        self.entity_places = places(spec)
        self.histories = {key: KeyHistory(spec, key, cards_max) for key in used_keys(spec)}
        self.in_order = sorted(self.histories.values(), key=lambda history: history.field != "card_id")
        counted = (field for key in self.histories for field in counted_fields(spec, key))
        self.keyed = {"card_id", *(spec.keys[key] for key in self.histories), *counted, *met_fields(spec)}
        self.days = TerminalDays()
        self.clock = np.full(2, EMPTY, np.int64)
        self.clock_card = np.zeros(ID_WORDS, np.uint32)

    @property
    def clock_ms(self) -> int:
        """The partition's clock: event time that two cards have reached; EMPTY before. Nothing is late by it."""
        return int(self.clock[0])

    @property
    def cards(self) -> int:
        """Ids remembered, of all keys."""
        return sum(history.ids for history in self.histories.values())

    @property
    def turnover(self) -> NDArray[np.int64]:
        """int64[3], of all keys: ids that ever came; ids forgotten for want of room, without a history and with one.

        Not part of the state: differences count within one object.
        """
        fresh, kept = np.sum([history.evicted for history in self.histories.values()] or [(0, 0)], axis=0).tolist()
        return np.array([self.cards + fresh + kept, fresh, kept], np.int64)

    def closed_days(self) -> list[DaySums]:
        """Payments of each terminal on the days that are over by the clock, each payment once.

        A payment that comes later for such a day is a part of its own. When is the same for every spec, and days are counted
        whether features read them or not: a state folded for another spec continues where its predecessor stopped.
        """
        return self.days.close(self.clock_ms - DAY_CLOSES_AFTER_MS)

    def to_arrays(self) -> Arrays:
        """Copies of everything: `from_arrays` makes a state of them whose every later bit is the same."""
        arrays = self._small_arrays()
        for history in self.histories.values():
            arrays |= history.to_arrays()
        return arrays | self.days.to_arrays()

    def capture(self) -> Capture:
        """What `to_arrays` would give now, read by another thread while the fold goes on. One at a time."""
        small = self._small_arrays()
        histories = [history.capture() for history in self.histories.values()]
        return Capture.joined([Capture.of(lambda: small), *histories, self.days.capture()])

    def _small_arrays(self) -> Arrays:
        return {
            "spec_digest": np.frombuffer(bytes.fromhex(self.spec.digest()), dtype=np.uint8),
            "clock": self.clock.copy(),
            "clock_card": self.clock_card.copy(),
        }

    @classmethod
    def from_arrays(cls, spec: FeatureSpec, cards_max: int, arrays: Arrays) -> "FeatureState":
        """The state that `to_arrays` described. Raises FeatureStateError where the arrays do not fit."""
        state = cls(spec, cards_max)
        if missing := [name for name in ("spec_digest", "clock", "clock_card") if name not in arrays]:
            raise FeatureStateError(f"The snapshot lacks {', '.join(missing)}; it is rebuilt from the log.")
        if arrays["spec_digest"].tobytes().hex() != spec.digest():
            raise FeatureStateError("The snapshot is of another feature spec; it is rebuilt from the log.")
        for history in state.histories.values():
            history.load(arrays)
        state.days.load(arrays)
        if arrays["clock"].shape != (2,) or arrays["clock_card"].shape != (ID_WORDS,):
            raise FeatureStateError("The snapshot's clock has another shape; it is rebuilt from the log.")
        state.clock[:], state.clock_card[:] = arrays["clock"], arrays["clock_card"]
        return state
