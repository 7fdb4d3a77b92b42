"""The run of a replay: the emitted scores, then the input from its first record to the group's offsets."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.scoring.session import ModelSession
from schemas import codec
from schemas.score import Score
from services.engine.batches import Record
from services.replay.compare import Comparison, Emitted
from services.replay.log import Log
from services.scorer.offline import OfflinePartition, Part
from services.scorer.processor import Limits
from services.scorer.profiles import ProfileTable
from services.verification.read import Progress

_decode_score = codec.decoder(Score)


@dataclass(frozen=True, slots=True)
class Period:
    """Input records with timestamps from `since_ms` (inclusive) to `until_ms` (exclusive), ms since 1970 UTC."""

    since_ms: int = 0
    until_ms: int = 1 << 62

    def holds(self, records: list[Record]) -> NDArray[np.bool_]:
        """bool[n]: which records fall into it."""
        return np.array([self.since_ms <= record.timestamp < self.until_ms for record in records], np.bool_)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The comparison, and the input partitions whose oldest records are deleted: their history is not complete."""

    comparison: Comparison
    truncated_partitions: tuple[int, ...]


async def replay(
    log: Log, session: ModelSession, limits: Limits, period: Period, progress: Progress | None = None
) -> Replayed:
    """Fold everything that the group has committed and compare the scores of the period. Raises AssayError."""
    spans = await log.spans()
    emitted = {
        partition: Emitted(f"{spans.topic}-{partition}", span.begin, span.end, session.model_name)
        for partition, span in spans.by_partition.items()
    }
    async for scores in log.scores(progress):
        for score in scores:
            ledger = emitted.get(score.source_partition)
            if ledger is not None:
                ledger.add(score.source_offset, _decode_score(score.value), score.profiles_offset)
    profiles = await log.profiles() if session.bundle.manifest.feature_spec.profiled else []
    states = {partition: Replaying(OfflinePartition(session, limits, of_log=True), profiles) for partition in emitted}
    comparison = await _fold(log, emitted, states, period, progress)
    return Replayed(comparison, spans.truncated_partitions)


class Replaying:
    """One partition, and the terminals' profiles as they were known to it."""

    def __init__(self, partition: OfflinePartition, profiles: list[Record]) -> None:
        self._partition, self._records, self._taken = partition, profiles, 0
        self._table = ProfileTable()

    def judge(self, records: list[Record], known: NDArray[np.int64]) -> list[Part]:
        """The next records. known: int64[n], the offset up to which each saw the profiles; those scored later saw more."""
        edges = [0, *(np.flatnonzero(np.diff(known)) + 1).tolist(), len(records)]
        parts = []
        for start, end in pairwise(edges):
            first = self._taken
            while self._taken < len(self._records) and self._records[self._taken].offset < known[start]:
                self._taken += 1
            self._table.apply(self._records[first : self._taken])
            parts.append(self._partition.judge(records[start:end], self._table.profiles))
        return parts


async def _fold(
    log: Log,
    emitted: dict[int, Emitted],
    states: dict[int, Replaying],
    period: Period,
    progress: Progress | None,
) -> Comparison:
    comparison = Comparison()
    async for partition, records in log.inputs(progress):
        if not records:
            continue
        ledger = emitted[partition]
        offsets = np.array([record.offset for record in records], np.int64)
        known = ledger.profiles_offsets(offsets)
        ledger.leave_out(offsets[~period.holds(records)])
        # a record without a score was not folded either, and sees what its predecessor saw
        for part in states[partition].judge(records, np.maximum.accumulate(known)):
            wanted = period.holds(part.records)
            places = np.array([record.offset for record in part.records], np.int64)
            scores = type(part.scores)(*(column[wanted] for column in part.scores))
            ledger.compare(places[wanted], scores, part.alert[wanted], comparison)
    for ledger in emitted.values():
        ledger.finish(comparison)
    return comparison
