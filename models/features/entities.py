"""The history of an entity over the whole stream: the same fold, of a spec in which the entity is the subject.

A stage of the stream holds one `EntityFold` for each entity in its partition; a file is folded by the same class. What it
gives of an event depends on the events of that entity alone, in the order in which they are folded: not on the cut into
batches, nor on which other entities share a partition.
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.features.capture import Arrays, Capture
from models.features.columns import NO_VALUE, TransactionColumns
from models.features.derived import derive
from models.features.fold import fold
from models.features.history import FeatureStateError
from models.features.labelled import Labelled, labels_features
from models.features.layout import entity_fields, id_fields, number_fields
from models.features.state import FeatureState
from schemas.feature_spec import ENTITY_ID, FeatureSpec

ID = ENTITY_ID
"""The column of the entity's id in the derived spec."""

SEPARATOR = "\x1f"
"""Between the ids that name an entity together; no accepted id holds it."""

LABELS = "labels"
"""Before the names of the arrays that labels make."""

DIGEST_BYTES = 16


def derived(spec: FeatureSpec, name: str) -> FeatureSpec:
    """The spec in which an entity is the subject: its features, in the spec's order, and nothing else."""
    features = tuple(feature for feature in spec.features if getattr(feature, "key", None) == name)
    read = {getattr(feature, "window", None) for feature in features}
    return spec.model_copy(
        update={
            "allowed_lateness": spec.entities[name].allowed_lateness or spec.allowed_lateness,
            "keys": {name: ID},
            "entities": {},
            "windows": tuple(window for window in spec.windows if window.duration in read),
            "features": features,
            "label_delay": FeatureSpec.model_fields["label_delay"].default,
            # made before: the columns have them
            "derived": {},
            "currencies": None,
        }
    )


def digest(spec: FeatureSpec, stages: Sequence[str]) -> bytes:
    """What names the meaning of the values of these entities, in this order."""
    content: list[object] = [(name, spec.entities[name].fields, derived(spec, name).digest()) for name in stages]
    if stages and derive(spec) is not None:
        content.append(spec.model_dump(mode="json", include={"derived", "currencies"}))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()[:DIGEST_BYTES]


def entity_ids(spec: FeatureSpec, name: str, columns: TransactionColumns) -> list[str]:
    """Of n events, the id of the entity; NO_VALUE where one of its fields is missing."""
    fields, made = spec.entities[name].fields, derive(spec)
    if made is not None:
        columns = made(columns)
    if len(fields) == 1:
        return list(columns.ids[fields[0]])
    rows = zip(*(columns.ids[field] for field in fields), strict=True)
    return [NO_VALUE if NO_VALUE in row else SEPARATOR.join(row) for row in rows]


class EntityFold:
    """Histories of one entity's ids, up to `ids_max`. late: how many events were too late to be remembered, in this object."""

    def __init__(self, spec: FeatureSpec, name: str, ids_max: int, known_after_days: int | None = None) -> None:
        """known_after_days: as `Labelled` has it."""
        self.name, self.late = name, 0
        self.fields, self.spec = entity_fields(spec, name), derived(spec, name)
        self._whole, self._ids_max, self._derive = spec, ids_max, derive(spec)
        self._state = FeatureState(self.spec, ids_max)
        self._labelled = Labelled(self.spec, name, ids_max, known_after_days) if self.reads_labels else None

    @property
    def reads_labels(self) -> bool:
        """Whether labels change what it gives: `judge` takes them."""
        return self.name in self._whole.labelled

    @property
    def ids(self) -> int:
        """Ids remembered."""
        return self._state.cards

    def values(
        self,
        columns: TransactionColumns,
        ids: Sequence[str] | None = None,
        is_fraud: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """float32[n, F] of n events in order, which are remembered. ids: as `entity_ids` gives them.

        is_fraud: bool[n], where verdicts are known beforehand; a stream gives each to `judge`.
        """
        ids = entity_ids(self._whole, self.name, columns) if ids is None else ids
        if self._derive is not None:
            columns = self._derive(columns)
        lacking = np.array([id_ == NO_VALUE for id_ in ids], np.bool_)
        if not lacking.any():
            return self._folded(self._state, columns, ids, slice(None), is_fraud)
        found = np.empty((len(ids), len(self.spec.features)), np.float32)
        there, gone = np.flatnonzero(~lacking), np.flatnonzero(lacking)
        found[there] = self._folded(self._state, columns, ids, there, None if is_fraud is None else is_fraud[there])
        # each as the first event of an entity of its own
        alone = FeatureState(self.spec, len(gone))
        found[gone] = self._folded(alone, columns, [str(row) for row in range(len(ids))], gone, count=False)
        return found

    def _folded(
        self,
        state: FeatureState,
        columns: TransactionColumns,
        ids: Sequence[str],
        rows: slice | NDArray[np.int64],
        is_fraud: NDArray[np.bool_] | None = None,
        *,
        count: bool = True,
    ) -> NDArray[np.float32]:
        named = {**{field: columns.ids[field] for field in id_fields(self.spec) - {ID}}, ID: ids}
        if not isinstance(rows, slice):
            named = {field: [values[row] for row in rows.tolist()] for field, values in named.items()}
        numbers = {name: columns.numbers[name][rows] for name in number_fields(self.spec)}
        part = TransactionColumns(named, columns.event_time_ms[rows], columns.amount[rows], numbers=numbers)
        matrix, late = fold(state, part)
        state.days.clear()  # days of terminals are the subjects' partitions' to count
        if count:
            self.late += int(late.sum())
        if self._labelled is not None and count:
            whose = {field: columns.ids[field] for field in self._labelled.subjects}
            if not isinstance(rows, slice):
                whose = {field: [values[row] for row in rows.tolist()] for field, values in whose.items()}
            of_subjects = TransactionColumns(whose, part.event_time_ms, part.amount)
            self._labelled.fill(of_subjects, named[ID], late, matrix, is_fraud)
        elif self._labelled is not None:
            matrix[:, [column for column, _ in labels_features(self.spec, self.name)]] = 0
        return matrix

    def judge(self, id_: str, subject: str, event_time_ms: int, *, fraud: bool) -> None:
        """A payment of this id turned out to be a fraud; or, taking that back, none. Only where it reads labels."""
        if self._labelled is not None:
            self._labelled.judge(id_, subject, event_time_ms, fraud=fraud)

    def capture(self) -> Capture:
        """The state as it is now, under names of the entity's own."""
        captured = self._state.capture()
        own = Capture(lambda: {f"{self.name}/{name}": part for name, part in captured.parts().items()}, captured.close)
        if self._labelled is None:
            return own
        labels = self._labelled.capture()
        start = f"{self.name}/{LABELS}/"
        of_labels = Capture(lambda: {start + name: part for name, part in labels.parts().items()}, labels.close)
        return Capture.joined([own, of_labels])

    def load(self, arrays: Arrays) -> None:
        """Become what `capture` described. Raises FeatureStateError where the arrays do not fit."""
        start = f"{self.name}/"
        own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        if not own:
            raise FeatureStateError(f"The snapshot holds nothing of {self.name}; it is rebuilt from the log.")
        state = FeatureState.from_arrays(self.spec, self._ids_max, own)
        if self._labelled is not None:
            start = f"{LABELS}/"
            self._labelled.load({name.removeprefix(start): one for name, one in own.items() if name.startswith(start)})
        self._state = state


class EntityFolds:
    """All entities of a spec, for events that lie in one place: files, and tests of the stages."""

    def __init__(self, spec: FeatureSpec, ids_max: int, known_after_days: int | None = None) -> None:
        self._folds = [EntityFold(spec, name, ids_max, known_after_days) for name in spec.stages]

    def values(self, columns: TransactionColumns, is_fraud: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """float32[n, K] of n events in order, as `TransactionColumns.entities` takes them. is_fraud: as `EntityFold` has it."""
        return np.concatenate([fold.values(columns, is_fraud=is_fraud) for fold in self._folds], axis=1)
