"""What labels say of an entity's ids: payments, frauds and frauds taken back, each a history of counts by time of the payment.

A window ends a label delay before the present bucket: it holds no payment whose label is not taken as known by then. So a
file, which knows every verdict at once, and a stream, to which each label comes when it comes, read the same where labels keep
to their delay; one that comes later changes features of later payments alone.

The three histories are the cards' own (`KeyHistory`), with windows of counts and nothing else. They are read as of the end of
the window, without being changed, and then changed.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.features import delayed
from models.features.capture import Arrays, Capture
from models.features.columns import TransactionColumns
from models.features.history import FeatureStateError, KeyHistory
from models.features.layout import counts_subjects, program
from schemas.feature_kinds.base import UNIT_MS, duration_ms
from schemas.feature_kinds.history import Aggregation, LabelsFeature, WindowFeature
from schemas.feature_spec import FeatureSpec

ID, SUBJECT = "labelled__", "card_id"
HISTORIES = ("payments", "frauds", "withdrawn")

DAY_MS = UNIT_MS["d"]

UNIT_NUMBER_MAX = 999_999
"""In a `Duration`."""


def labels_features(spec: FeatureSpec, name: str) -> list[tuple[int, LabelsFeature]]:
    """Columns and features that read labels of one entity."""
    found = enumerate(spec.features)
    return [(column, one) for column, one in found if isinstance(one, LabelsFeature) and one.key == name]


class Labelled:
    """Of up to `ids_max` ids of one entity. spec: of the entity (`entities.derived`)."""

    def __init__(self, spec: FeatureSpec, name: str, ids_max: int, known_after_days: int | None = None) -> None:
        """known_after_days: when a file's verdicts are known, in UTC days; by default within each feature's delay."""
        self._features = labels_features(spec, name)
        self._specs = _specs(spec, name)
        self.subjects = [SUBJECT] if counts_subjects(spec, name) else []
        """The columns that are read beside the entity's ids."""
        self._windows = [window.duration for window in self._specs[0].windows]
        widths = {window.duration: window.bucket_ms for window in self._specs[0].windows}
        back_ms = [delayed.back_ms(duration_ms(f.label_delay), widths[f.window]) for _, f in self._features]
        self._back_ms = sorted(set(back_ms))
        self._at = [self._back_ms.index(one) for one in back_ms]
        self._apart_ms = min(duration_ms(feature.label_delay) for _, feature in self._features)
        self._known_after_days = known_after_days
        self._to_come: deque[tuple[int, TransactionColumns, NDArray[np.bool_]]] = deque()
        """UTC days of a file whose frauds no one knows of yet: payments, and which were none."""
        self._ids_max = ids_max
        self._histories = self._made()

    def _made(self) -> dict[str, KeyHistory]:
        made = zip(HISTORIES, self._specs, strict=True)
        return {name: KeyHistory(spec, ID, self._ids_max) for name, spec in made}

    @property
    def row_bytes(self) -> int:
        """Bytes of one id, with a fraud and one that was taken back."""
        return sum(4 * program(spec, ID).row_words for spec in self._specs)

    def fill(
        self,
        columns: TransactionColumns,
        ids: Sequence[str],
        late: NDArray[np.bool_],
        matrix: NDArray[np.float32],
        is_fraud: NDArray[np.bool_] | None = None,
    ) -> None:
        """Fill the features' columns of n payments in order, which are remembered unless they are late. ids: of the entity.

        is_fraud: bool[n], where verdicts are known beforehand, as in a file; a stream gives each to `judge`.
        """
        times = np.ascontiguousarray(columns.event_time_ms, np.int64)
        named = TransactionColumns(
            {ID: ids, **{field: columns.ids[field] for field in self.subjects}}, times, columns.amount
        )
        for start, end in _parts(times, self._apart_ms, by_day=self._known_after_days is not None):
            part = named[start:end]
            self._come(int(times[start]) // DAY_MS)
            self._read(part, matrix[start:end])
            self._fold("payments", part, late[start:end].copy())
            if is_fraud is not None and (known := is_fraud[start:end] & ~late[start:end]).any():
                if self._known_after_days is None:
                    self._fold("frauds", part, ~known)
                else:
                    self._to_come.append((int(times[start]) // DAY_MS, part, ~known))

    def _come(self, today: int) -> None:
        """Frauds whose day is so far back that they are known by now."""
        while self._to_come and self._to_come[0][0] < today - (self._known_after_days or 0):
            _, payments, no_frauds = self._to_come.popleft()
            self._fold("frauds", payments, no_frauds)

    def judge(self, id_: str, subject: str, event_time_ms: int, *, fraud: bool) -> None:
        """A payment of this id turned out to be a fraud; or, taking that back, none."""
        times = np.array([event_time_ms], np.int64)
        columns = TransactionColumns({ID: [id_], SUBJECT: [subject]}, times, np.zeros(1))
        self._fold("frauds" if fraud else "withdrawn", columns, np.zeros(1, np.bool_))

    def _fold(
        self, history: str, columns: TransactionColumns, late: NDArray[np.bool_], back_ms: int = 0
    ) -> NDArray[np.float32]:
        """float32[n, windows, or twice as many]: payments, and subjects where they are asked for, in each window that ends
        `back_ms` ago, with one of the present.
        """
        keys = {field: columns.keys(field) for field in (ID, *self.subjects)}
        times = columns.event_time_ms - back_ms
        found = np.empty((len(times), (1 + len(self.subjects)) * len(self._windows)), np.float32)
        self._histories[history].fold(columns, keys, times, columns.amount, late, found)
        return found

    def _read(self, columns: TransactionColumns, matrix: NDArray[np.float32]) -> None:
        """As of the end of each window. The present payment, and its subject, are counted by every window and taken out again:
        what is left are the other subjects.
        """
        number = len(self._windows)
        unchanged = np.ones(len(columns), np.bool_)
        for at, back_ms in enumerate(self._back_ms):
            payments, frauds, withdrawn = (
                self._fold(history, columns, unchanged.copy(), back_ms) for history in HISTORIES
            )
            for (column, feature), own in zip(self._features, self._at, strict=True):
                if own != at:
                    continue
                window = self._windows.index(feature.window)
                count, known = payments[:, window] - 1, frauds[:, window] - withdrawn[:, window]
                if feature.aggregation == "fraud_subject_rate":
                    known, count = frauds[:, number + window] - 1, payments[:, number + window] - 1
                part = count if feature.aggregation == "count" else np.maximum(known, 0)
                is_share = feature.aggregation.endswith("rate")
                delayed.fill(part, count, is_share, feature.transform == "log1p", matrix[:, column])

    def capture(self) -> Capture:
        """All as it is now, under names of its own."""
        captured = {name: history.capture() for name, history in self._histories.items()}

        def close() -> None:
            for made in captured.values():
                made.close()

        return Capture(
            lambda: {f"{name}/{part}": one for name, made in captured.items() for part, one in made.parts().items()},
            close,
        )

    def load(self, arrays: Arrays) -> None:
        """Become what `capture` described. Raises FeatureStateError where the arrays do not fit."""
        histories = self._made()
        for name, history in histories.items():
            start = f"{name}/"
            own = {part.removeprefix(start): array for part, array in arrays.items() if part.startswith(start)}
            if not own:
                raise FeatureStateError(f"The snapshot holds no labels' {name}; it is rebuilt from the log.")
            history.load(own)
        self._histories = histories


def _specs(spec: FeatureSpec, name: str) -> tuple[FeatureSpec, FeatureSpec, FeatureSpec]:
    """What payments, frauds and frauds taken back are counted by: windows of payments and of subjects, kept for long enough.

    Payments are read as of the end of the earliest window. A fraud may be reported after one of a much later payment: nothing
    that a window can still see is too old.
    """
    features = [feature for _, feature in labels_features(spec, name)]
    windows = [window for window in spec.windows if window.duration in {feature.window for feature in features}]
    width = max(window.bucket_ms for window in windows)
    delay_ms = max(duration_ms(feature.label_delay) for feature in features) + width
    longest_ms = max(window.duration_ms for window in windows)
    counted_by: list[tuple[str, Aggregation, str | None]] = [("payments", "count", None)]
    if counts_subjects(spec, name):
        counted_by.append(("subjects", "distinct", SUBJECT))
    counted = [
        WindowFeature(
            name=f"{what}_{number}", kind="window", key=ID, aggregation=aggregation, window=window.duration, of=of
        )
        for what, aggregation, of in counted_by
        for number, window in enumerate(windows)
    ]

    def kept(lateness_ms: int) -> FeatureSpec:
        return FeatureSpec(
            version=1,
            allowed_lateness=_duration(lateness_ms),
            keys={ID: ID},
            windows=tuple(windows),
            features=tuple(counted),
        )

    payments = kept(delay_ms + spec.lateness_ms)
    others = kept(delay_ms + longest_ms + width + spec.lateness_ms)
    return payments, others, others


def _duration(least_ms: int) -> str:
    """The shortest that is no shorter."""
    for unit in ("s", "m", "h", "d"):
        number = -(-least_ms // UNIT_MS[unit])
        if number <= UNIT_NUMBER_MAX:
            return f"{number}{unit}"
    raise ValueError(f"{least_ms} ms is longer than a duration can be")


def _parts(times: NDArray[np.int64], apart_ms: int, *, by_day: bool) -> Iterator[tuple[int, int]]:
    """Stretches of payments none of which another's window can see: of times less than `apart_ms` apart. by_day: and of one
    UTC day.
    """
    if not len(times):
        return
    if not by_day and int(times.max()) - int(times.min()) < apart_ms:
        yield 0, len(times)
        return
    start, lowest, highest = 0, int(times[0]), int(times[0])
    for row, time in enumerate(times.tolist()):
        begins_day = by_day and time // DAY_MS != lowest // DAY_MS
        lowest, highest = min(lowest, time), max(highest, time)
        if highest - lowest >= apart_ms or begins_day:
            yield start, row
            start, lowest, highest = row, time, time
    yield start, len(times)
