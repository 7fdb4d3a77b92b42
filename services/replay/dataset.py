"""A training set from the topics: payments, their features as scored, and what was known of them at one moment.

The features are the replay's: the same fold over the same log, with the terminals' profiles as each score saw them. Labels are
those written by `as_of_ms`, of each payment the last (`schemas/label.py`); payments too young to have one by then are left out,
since no label would read as legitimate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.scoring.session import ModelSession
from schemas import codec
from schemas.label import Label
from schemas.score import Score
from schemas.transaction import Transaction
from services.engine.batches import Record
from services.errors import AssayError
from services.replay.log import Log
from services.replay.replay import Replaying
from services.scorer.offline import OfflinePartition, Part
from services.scorer.processor import Limits
from services.verification.read import Progress

DAY_MS = 86_400_000
FIELDS = tuple(Transaction.model_fields)
FEATURE_PREFIX = "feature_"

_decode_score = codec.decoder(Score)
_decode_label = codec.decoder(Label)


@dataclass(frozen=True, slots=True)
class Cut:
    """Which payments, by event time, and what is known of them. since_ms inclusive, until_ms exclusive, ms since 1970 UTC.

    as_of_ms: later labels are not known yet. maturity_ms: payments younger than this at `as_of_ms` are left out.
    """

    as_of_ms: int
    maturity_ms: int
    since_ms: int = 0
    until_ms: int = 1 << 62

    def holds(self, event_time_ms: int) -> bool:
        """Whether a payment of this time belongs to the set."""
        return self.since_ms <= event_time_ms < min(self.until_ms, self.as_of_ms - self.maturity_ms + 1)


@dataclass(slots=True)
class DataSet:
    """n payments in order of event time; those of one time in the log's order, partition by partition.

    columns: the payment's fields, `is_fraud`, `labelled_at_ms` and `label_source` (None without a label), `model`,
    `probability`, `alert` and `let_through` as scored; then each feature under its name with a prefix, float32[n].
    """

    columns: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns["is_fraud"])


def known_labels(records: Iterable[Record], as_of_ms: int) -> dict[str, Label]:
    """The label that counts for each payment at a moment. records: of `labels`, each partition in order."""
    known: dict[str, Label] = {}
    for record in records:
        try:
            label = _decode_label(record.value or b"")
        except codec.RejectedError:
            continue  # the profiler has made a dead letter of it
        if label.labelled_at_ms <= as_of_ms:
            known[label.transaction_id] = label
    return known


async def build(
    log: Log,
    session: ModelSession,
    limits: Limits,
    labels: Mapping[str, Label],
    cut: Cut,
    progress: Progress | None = None,
) -> DataSet:
    """Fold the log and join. session: of the bundle whose features are wanted. Raises AssayError where nothing is left."""
    spans = await log.spans()
    emitted: dict[int, dict[int, tuple[int, Score]]] = {partition: {} for partition in spans.by_partition}
    async for scores in log.scores(progress):
        for score in scores:
            if score.source_partition in emitted:
                said = score.profiles_offset, _decode_score(score.value)
                emitted[score.source_partition][score.source_offset] = said
    profiled = session.bundle.manifest.feature_spec.profiled
    profiles = await log.profiles() if profiled else []
    states = {partition: Replaying(OfflinePartition(session, limits, of_log=True), profiles) for partition in emitted}
    rows = _Rows(labels, cut)
    async for partition, records in log.inputs(progress):
        scored = emitted[partition]
        offsets = [scored[record.offset][0] if record.offset in scored else 0 for record in records]
        # a record without a score was not folded either, and sees what its predecessor saw
        known = np.maximum.accumulate(np.array(offsets, np.int64))
        for part in states[partition].judge(records, known) if records else ():
            rows.add(part, scored)
    return rows.data_set(session.bundle.manifest.feature_spec.names)


class _Rows:
    """Collects the rows of a cut."""

    def __init__(self, labels: Mapping[str, Label], cut: Cut) -> None:
        self._labels, self._cut = labels, cut
        self._columns: dict[str, list[Any]] = {name: [] for name in FIELDS}
        self._scores: list[Score] = []
        self._features: list[NDArray[np.float32]] = []

    def add(self, part: Part, said: Mapping[int, tuple[int, Score]]) -> None:
        """The part's payments that belong to the cut and were scored by the stream."""
        rows = [
            row
            for row, (record, time_ms) in enumerate(zip(part.records, part.events.time_ms.tolist(), strict=True))
            if record.offset in said and self._cut.holds(time_ms)
        ]
        for name, column in self._columns.items():
            found = part.events.column(name)
            values = found.tolist() if isinstance(found, np.ndarray) else found
            column += [values[row] for row in rows]
        self._scores += [said[part.records[row].offset][1] for row in rows]
        self._features.append(part.features[rows])

    def data_set(self, names: Iterable[str]) -> DataSet:
        """Everything collected, in order of time."""
        if not self._scores:
            raise AssayError(
                "No payment is left: those younger than --maturity-days at --as-of are left out; give a later --as-of, or "
                "fewer days."
            )
        order = np.argsort(self._columns["event_time_ms"], kind="stable").tolist()
        scores = [self._scores[row] for row in order]
        columns: dict[str, Any] = {name: [values[row] for row in order] for name, values in self._columns.items()}
        told = [self._labels.get(transaction_id) for transaction_id in columns["transaction_id"]]
        columns["is_fraud"] = [label is not None and label.verdict == "fraud" for label in told]
        columns["labelled_at_ms"] = [label.labelled_at_ms if label else None for label in told]
        columns["label_source"] = [label.source if label else None for label in told]
        for name in ("model", "probability", "alert", "let_through"):
            columns[name] = [getattr(score, name) for score in scores]
        features = np.concatenate(self._features)[order]
        columns |= {f"{FEATURE_PREFIX}{name}": features[:, row] for row, name in enumerate(names)}
        return DataSet(columns)
