"""Scores a finite list of payments with the stream's own stages, without Kafka: for back-fills and evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.features.fold import fold
from models.features.state import FeatureState
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from services.runtime.batches import Record
from services.scorer.decide import decide
from services.scorer.decode import Decoder
from services.scorer.duplicates import DuplicateWindow
from services.scorer.processor import admit, columns

BATCH_RECORDS = 2000

NO_ARRIVAL_MS = 1 << 62
"""A file has no arrival times, so no payment in it is from the future."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One payment as the decoder takes a Kafka record. offset: its place in the file, from 0."""

    offset: int
    value: bytes
    timestamp: int = NO_ARRIVAL_MS


@dataclass(frozen=True, slots=True)
class Judged:
    """n payments in the order given. Where `rejected` holds a reason, the scores are NaN and there is no alert."""

    scores: Scores
    alert: NDArray[np.bool_]
    rejected: list[str | None] = field(default_factory=list)

    @classmethod
    def blank(cls, payments: int) -> "Judged":
        """Nothing judged yet."""
        nothing = Scores(*(np.full(payments, np.nan, np.float32) for _ in Scores._fields))
        return cls(nothing, np.zeros(payments, np.bool_), [None] * payments)


def judge(
    session: ModelSession, payloads: Sequence[bytes], report: Callable[[int], None], *, bytes_max: int, cards_max: int
) -> Judged:
    """Judge transactions in JSON, in order of event time, as one partition that forgets no id.

    bytes_max: of one payload. cards_max: cards remembered. `report` is told how many are done.
    """
    judged = Judged.blank(len(payloads))
    manifest = session.bundle.manifest
    records: list[Record] = [Payload(offset, value) for offset, value in enumerate(payloads)]
    decoder, duplicates = Decoder(bytes_max, 0), DuplicateWindow(len(payloads))
    state = FeatureState(manifest.feature_spec, max(1, cards_max))
    for start in range(0, len(records), BATCH_RECORDS):
        good, transactions, faults = admit(decoder, duplicates, records[start : start + BATCH_RECORDS])
        for fault in faults:
            judged.rejected[fault.record.offset] = fault.reason.value
        if good:
            places = [record.offset for record in good]
            features, _ = fold(state, columns(transactions))
            scores = session.run(features)
            for column, values in zip(judged.scores, scores, strict=True):
                column[places] = values
            judged.alert[places] = decide(scores, manifest.thresholds).alert
        report(min(start + BATCH_RECORDS, len(records)))
    return judged
