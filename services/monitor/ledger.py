"""Stage 2: scores joined with labels by payment, whichever comes first, for as long as labels come."""

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import codec
from schemas.label import LABEL_AGE_DAYS_MAX
from schemas.monitor import Evidence, Judged, LabelEvidence, LedgerEntry
from services.engine.faults import timestamp_ms

DAY_MS = 86_400_000
KEPT_MS = LABEL_AGE_DAYS_MAX * DAY_MS

BAD = ("fraud", "default")
"""Verdicts that a model is to foresee."""

MODELS_MAX = 16
"""Models whose score of one payment is kept, the newest: a payment is scored by a champion and a challenger, seldom by more."""

Table = MutableMapping[bytes, bytes]

_decode = codec.decoder(LedgerEntry)


def entry_problem(ahead_ms_max: int, message: Any) -> str | None:
    """Why an entry of `monitor-ledger` cannot be used, if so. ahead_ms_max: as of evidence, which is a little older."""
    message.key.decode()
    entry = _decode(message.value)
    if not entry.judged and entry.told is None:
        return "neither a score nor a label"
    if latest_ms(entry.judged, entry.told) > timestamp_ms(message) + ahead_ms_max + DAY_MS:
        return "a time far ahead of the record's timestamp"  # all older payments would be forgotten
    return None


@dataclass(frozen=True, slots=True)
class Columns:
    """n scores of payments, parallel arrays: event_time_ms int64; probability, weight and amount float64; the others bool.

    amount: NaN where it is not known. labelled: a label is known. fraud: it says fraud, or default. ruled: of
    which rules hold, or None: objects, policy and both names.
    """

    event_time_ms: NDArray[np.int64]
    probability: NDArray[np.float64]
    weight: NDArray[np.float64]
    alert: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    fraud: NDArray[np.bool_]
    ruled: NDArray[np.object_]
    amount: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event_time_ms)

    def __getitem__(self, rows: NDArray[np.bool_]) -> "Columns":
        return Columns(*(getattr(self, name)[rows] for name in Columns.__slots__))


@dataclass(slots=True)
class Ledger:
    """What is known of each payment, or application. table: by its id; a Faust table, or a dict in tests.

    kept_ms: how long one waits for its label. now_ms: the newest event or label seen, the ledger's only clock. forgotten:
    those that made room too early.
    """

    table: Table
    payments_max: int
    kept_ms: int = KEPT_MS
    now_ms: int = 0
    forgotten: int = 0
    _event_ms: dict[str, int] = field(default_factory=dict)
    """By transaction, in the order in which they came; the rest stays bytes, which are a tenth of the objects."""

    def __len__(self) -> int:
        return len(self._event_ms)

    def recover(self) -> None:
        """After the table was filled from its topic, or taken away."""
        read = [(key.decode(), _decode(value)) for key, value in self.table.items()]
        self._event_ms = dict(sorted(((key, _event_ms(entry)) for key, entry in read), key=lambda item: item[1]))
        self.now_ms = max((newest_ms(entry.judged, entry.told) for _, entry in read), default=0)

    def add(self, evidence: Evidence) -> bool:
        """Take in evidence; False where it is a repetition."""
        transaction_id = evidence.transaction_id
        key = transaction_id.encode()
        before = codec.read(LedgerEntry, self.table[key]) if transaction_id in self._event_ms else LedgerEntry()
        entry = LedgerEntry(judged=_judged(before, evidence.judged), told=_told(before.told, evidence.told))
        if entry == before:
            return False
        self.table[key] = codec.write(entry)
        self._event_ms[transaction_id] = _event_ms(entry)
        self.now_ms = max(self.now_ms, newest_ms(entry.judged, entry.told))
        self._make_room()
        return True

    def columns(self) -> dict[str, Columns]:
        """The payments that each model scored, by model."""
        rows: dict[str, list[tuple[Judged, LabelEvidence | None]]] = {}
        for transaction_id in self._event_ms:
            entry = _decode(self.table[transaction_id.encode()])
            for judged in entry.judged:
                rows.setdefault(judged.model, []).append((judged, entry.told))
        return {model: _columns(rows[model]) for model in sorted(rows)}

    def _make_room(self) -> None:
        """Forget what labels no longer reach, and beyond the bound what came first."""
        while self._event_ms:
            oldest, event_ms = next(iter(self._event_ms.items()))
            stale = event_ms < self.now_ms - self.kept_ms
            if not stale and len(self) <= self.payments_max:
                return
            self.forgotten += not stale
            del self._event_ms[oldest]
            self.table.pop(oldest.encode())


def _columns(rows: Sequence[tuple[Judged, LabelEvidence | None]]) -> Columns:
    return Columns(
        event_time_ms=np.array([judged.event_time_ms for judged, _ in rows], np.int64),
        probability=np.array([judged.probability for judged, _ in rows], np.float64),
        weight=np.array([judged.weight for judged, _ in rows], np.float64),
        alert=np.array([judged.alert for judged, _ in rows], np.bool_),
        labelled=np.array([told is not None for _, told in rows], np.bool_),
        fraud=np.array([told is not None and told.verdict in BAD for _, told in rows], np.bool_),
        ruled=_ruled([judged for judged, _ in rows]),
        amount=np.array([np.nan if judged.amount is None else judged.amount for judged, _ in rows], np.float64),
    )


def _ruled(judged: Sequence[Judged]) -> NDArray[np.object_]:
    found = np.empty(len(judged), np.object_)
    for row, one in enumerate(judged):
        if one.policy is not None:
            found[row] = one.policy, one.rules, one.shadow_rules
    return found


def _judged(before: LedgerEntry, judged: Judged | None) -> tuple[Judged, ...]:
    if judged is None:
        return before.judged
    return (*(known for known in before.judged if known.model != judged.model), judged)[-MODELS_MAX:]


def _told(before: LabelEvidence | None, told: LabelEvidence | None) -> LabelEvidence | None:
    """The rule of `schemas/label.py`. Labels of a payment share a partition; where they do not, the last to come counts."""
    if told is None or (before is not None and before.partition == told.partition and before.offset >= told.offset):
        return before
    return told


def _event_ms(entry: LedgerEntry) -> int:
    """When the payment happened; for a label alone that does not say, when it was labelled."""
    if entry.judged:
        return entry.judged[0].event_time_ms
    assert entry.told is not None
    return entry.told.event_time_ms or entry.told.labelled_at_ms


def newest_ms(judged: Iterable[Judged], told: LabelEvidence | None) -> int:
    """When the payment was last in the log."""
    return max([one.event_time_ms for one in judged] + ([told.labelled_at_ms] if told else []), default=0)


def latest_ms(judged: Iterable[Judged], told: LabelEvidence | None) -> int:
    """The latest time that a payment's records name."""
    return max(newest_ms(judged, told), told.event_time_ms or 0 if told else 0)
