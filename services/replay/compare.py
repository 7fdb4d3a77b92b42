"""Emitted scores of one input partition, and how a replay compares with them. Pure."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.scoring.scores import Scores
from schemas.policy import Action
from schemas.score import Score

EXAMPLES_MAX = 10
COLUMNS = len(Scores._fields) + 2
NO_POLICY = 0


@dataclass(slots=True)
class Comparison:
    """Counts of inputs. Equal when only `compared` and `other_model` are not zero.

    compared: scored by both. differing: of those, how many differ in any bit. not_emitted: scored by the replay alone.
    not_replayed: scored by the stream alone. other_model: scored by another bundle or provider, and left out.
    """

    compared: int = 0
    differing: int = 0
    not_emitted: int = 0
    not_replayed: int = 0
    other_model: int = 0
    other_policy: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether the replay equals the stream, and compared anything at all."""
        return self.compared > 0 and not (self.differing or self.not_emitted or self.not_replayed)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Emitted:
    """Scores of the offsets from `base` to `end`, uint32[offsets, 5]: bits of each score, its alert, its policy's mark."""

    def __init__(self, name: str, base: int, end: int, model: str) -> None:
        self._name, self._base, self._model = name, base, model
        self._bits = np.zeros((max(0, end - base), COLUMNS), np.uint32)
        self._state = np.zeros(max(0, end - base), np.uint8)
        self._profiles_offset = np.zeros(max(0, end - base), np.int64)
        self._lists_offset = np.zeros(max(0, end - base), np.int64)
        self._persons: list[str | None] = [None]
        self._lists_persons = np.zeros(max(0, end - base), np.uint16)
        self._policies: dict[str, int] = {}
        self._policy = np.zeros(max(0, end - base), np.uint16)
        self._pairs: list[tuple[float, ...]] = [()]
        self._numbers: dict[tuple[float, ...], int] = {(): 0}
        self._thresholds = np.zeros(max(0, end - base), np.uint32)

    ABSENT, OURS, FOREIGN, SEEN = 0, 1, 2, 3

    def add(
        self,
        source_offset: int,
        score: Score,
        profiles_offset: int,
        lists_offset: int = 0,
        lists_persons: str | None = None,
    ) -> None:
        """One record of `scores`, up to where profiles and lists were known, and by whose signatures. Others are left out."""
        place = source_offset - self._base
        if not 0 <= place < len(self._state):
            return
        self._state[place] = self.OURS if score.model == self._model else self.FOREIGN
        self._profiles_offset[place], self._lists_offset[place] = profiles_offset, lists_offset
        if lists_persons not in self._persons:
            self._persons.append(lists_persons)
        self._lists_persons[place] = self._persons.index(lists_persons)
        values = [getattr(score, name) for name in Scores._fields]
        said = NO_POLICY
        if score.policy is not None:
            self._policy[place] = self._policies.setdefault(score.policy, len(self._policies) + 1)
            self._thresholds[place] = self._number(tuple(score.thresholds))
            said = said_mark(score.policy, score.withheld_action or score.action, score.rules, score.shadow_rules)
        self._bits[place] = [*np.array(values, np.float32).view(np.uint32), score.alert, said]

    def _number(self, thresholds: tuple[float, ...]) -> int:
        number = self._numbers.setdefault(thresholds, len(self._pairs))
        if number == len(self._pairs):
            self._pairs.append(thresholds)
        return number

    def thresholds(self, offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint32], list[tuple[float, ...]]]:
        """uint32[n]: places in the list of the thresholds that scores name, which is behind it; the first names none."""
        return self._thresholds[offsets - self._base], self._pairs

    def policies(self, offsets: NDArray[np.int64]) -> list[tuple[str, NDArray[np.intp]]]:
        """The policies that decided these offsets, each with the places in `offsets` that are its."""
        numbers = self._policy[offsets - self._base]
        found = ((name, np.flatnonzero(numbers == number)) for name, number in self._policies.items())
        return [(name, places) for name, places in found if len(places)]

    def leave_to_policy(self, offsets: NDArray[np.int64], result: Comparison) -> None:
        """Offsets that a policy decided which is not to be had."""
        ours = self._state[offsets - self._base] == self.OURS
        result.other_policy += int(ours.sum())
        self.leave_out(offsets)

    def compare(
        self,
        offsets: NDArray[np.int64],
        scores: Scores,
        alert: NDArray[np.bool_],
        result: Comparison,
        said: NDArray[np.uint32] | None = None,
    ) -> None:
        """Count replayed scores, each offset once, against the emitted ones. said: marks of what their policies say."""
        if said is None:
            said = np.zeros(len(offsets), np.uint32)
        places = offsets - self._base
        state, emitted = self._state[places], self._bits[places]
        columns = [*(column.view(np.uint32) for column in scores), alert.astype(np.uint32), said]
        replayed = np.stack(columns, axis=1)
        ours = state == self.OURS
        differs = ours & (emitted != replayed).any(axis=1)
        absent = state == self.ABSENT
        result.compared += int(ours.sum())
        result.differing += int(differs.sum())
        result.not_emitted += int(absent.sum())
        result.other_model += int((state == self.FOREIGN).sum())
        self._note(result, offsets[differs], "differs")
        self._note(result, offsets[absent], "was never emitted")
        self._state[places] = self.SEEN

    def profiles_offsets(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Up to where the profiles were known when these offsets were scored; 0 for those that were not."""
        return self._profiles_offset[offsets - self._base]

    def lists_offsets(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same of the lists."""
        return self._lists_offset[offsets - self._base]

    def lists_persons(self, offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint16], list[str | None]]:
        """uint16[n]: places in the list of those by whose signatures entries counted, which is behind it."""
        return self._lists_persons[offsets - self._base], self._persons

    def leave_out(self, offsets: NDArray[np.int64]) -> None:
        """Offsets that are left out."""
        self._state[offsets - self._base] = self.SEEN

    def finish(self, result: Comparison) -> None:
        """Count what was emitted and not replayed."""
        left = np.flatnonzero(self._state == self.OURS)
        result.not_replayed += len(left)
        result.other_model += int((self._state == self.FOREIGN).sum())
        self._note(result, left + self._base, "was not replayed")

    def _note(self, result: Comparison, offsets: NDArray[np.int64], what: str) -> None:
        room = EXAMPLES_MAX - len(result.examples)
        result.examples += [f"{self._name}@{offset} {what}" for offset in offsets[:room].tolist()]


def said_mark(policy: str, action: Action | None, rules: Sequence[str], shadow_rules: Sequence[str]) -> int:
    """A number for what a policy says of one event, before the control group; never NO_POLICY."""
    return zlib.crc32(repr((policy, action, tuple(rules), tuple(shadow_rules))).encode()) or 1
