"""The run of a replay: the emitted scores, then the input from its first record to the group's offsets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.lists.lists import Lists
from models.policy.program import Program, thresholds_of
from models.scoring.session import ModelSession
from schemas import codec
from schemas.control import MovedThresholds
from schemas.manifest import Thresholds
from schemas.score import Score
from services.engine.batches import Record
from services.replay.compare import Comparison, Emitted, said_mark
from services.replay.log import Log
from services.scorer.lists import ListTable
from services.scorer.offline import OfflinePartition, Part
from services.scorer.processor import Limits
from services.scorer.profiles import ProfileTable
from services.scorer.ruling import rule
from services.signed_entries import EntryGuard, entry_guard
from services.verification.read import Progress

Programs = Callable[[str], Program | None]
"""A policy by the name that scores have, ready to run."""

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


def no_program(name: str) -> Program | None:
    """Where no policy is to be had."""
    return None


async def replay(
    log: Log,
    session: ModelSession,
    limits: Limits,
    period: Period,
    progress: Progress | None = None,
    programs: Programs = no_program,
) -> Replayed:
    """Fold everything that the group has committed and compare the scores of the period. Raises AssayError.

    programs: the policy of a name that scores have.
    """
    spans = await log.spans()
    emitted = {
        partition: Emitted(f"{spans.topic}-{partition}", span.begin, span.end, session.model_name)
        for partition, span in spans.by_partition.items()
    }
    async for scores in log.scores(progress):
        for score in scores:
            ledger = emitted.get(score.source_partition)
            if ledger is not None:
                ledger.add(
                    score.source_offset,
                    _decode_score(score.value),
                    score.profiles_offset,
                    score.lists_offset,
                    score.lists_persons,
                )
    profiles = await log.profiles() if session.bundle.manifest.feature_spec.profiled else []
    states = {partition: Replaying(OfflinePartition(session, limits, of_log=True), profiles) for partition in emitted}
    lists = await log.lists()
    thresholds = session.bundle.manifest.thresholds
    ruling = {partition: PolicyReplay(programs, thresholds, lists, entry_guard()) for partition in emitted}
    comparison = await _fold(log, emitted, states, period, progress, ruling)
    return Replayed(comparison, spans.truncated_partitions)


class _ListReplay:
    """The lists as they were known, from one offset to the next."""

    def __init__(self, records: list[Record], table: ListTable) -> None:
        self._records, self._taken, self._table = records, 0, table

    def up_to(self, known: int) -> Lists:
        """The lists made of the records below an offset, which never falls."""
        first = self._taken
        while self._taken < len(self._records) and self._records[self._taken].offset < known:
            self._taken += 1
        self._table.apply(self._records[first : self._taken])
        return self._table.lists


class PolicyReplay:
    """What the policies that decided one partition say again, with the lists as they were known to it."""

    def __init__(
        self, programs: Programs, thresholds: Thresholds, lists: list[Record], guard: EntryGuard | None = None
    ) -> None:
        """thresholds: the bundle's. lists: every record of `lists`. guard: judges them where scores name its persons."""
        self._programs, self._thresholds = programs, thresholds
        self._tables: dict[str | None, _ListReplay] = {None: _ListReplay(lists, ListTable())}
        if guard is not None:
            self._tables[guard.name] = _ListReplay(lists, ListTable(guard=guard))

    def of(
        self,
        part: Part,
        policies: Sequence[tuple[str, NDArray[np.intp]]],
        known: NDArray[np.int64],
        moved: tuple[NDArray[np.uint32], Sequence[tuple[float, ...]]],
        persons: tuple[NDArray[np.uint16], Sequence[str | None]],
    ) -> tuple[NDArray[np.bool_], NDArray[np.uint32], NDArray[np.bool_]]:
        """Of each event whether there is an alert, the mark of what is said, and whether what decided it is not to be had.

        policies: names, each with the rows that it decided; the thresholds alone decided the others. known: int64[n], the
        offset up to which each row saw the lists. moved: the places of each row's thresholds in the list behind them.
        persons: the same of those by whose signatures entries of lists counted.
        """
        alert, said = part.alert.copy(), np.zeros(len(part.alert), np.uint32)
        missing = np.zeros(len(part.alert), np.bool_)
        numbers, pairs = moved
        signers, names = persons
        cut = _cut(policies, known, numbers.astype(np.int64), signers.astype(np.int64))
        found = [(int(known[rows[0]]), self._programs(name), name, rows) for name, rows in cut]
        for offset, program, name, rows in sorted(found, key=lambda one: int(one[3][0])):
            table = self._tables.get(names[int(signers[rows[0]])])
            if program is None or (program.policy.lists and table is None):
                missing[rows] = True
                continue
            lists = table.up_to(offset) if program.policy.lists and table is not None else None
            scores = type(part.scores)(*(column[rows] for column in part.scores))
            thresholds = thresholds_of(program, self._thresholds, _moved(pairs[int(numbers[rows[0]])]))
            events = part.events.take(rows.tolist())
            outcomes, ruled = rule(program, events, part.features[rows], scores, thresholds, lists=lists)
            alert[rows] = outcomes.alert
            held, shadow = ruled.ruling.rules, ruled.ruling.shadow_rules
            said[rows] = [
                said_mark(name, action, held.get(row, ()), shadow.get(row, ())) for row, action in enumerate(ruled.said)
            ]
        return alert, said, missing


def _moved(pair: tuple[float, ...]) -> MovedThresholds | None:
    """The thresholds that a score names, where a budget moves them."""
    return MovedThresholds(probability=pair[0], anomaly_percentile=pair[1]) if len(pair) == 2 else None


def _cut(
    policies: Sequence[tuple[str, NDArray[np.intp]]], *changing: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Each policy's rows, cut where the lists or the thresholds changed."""
    for name, rows in policies:
        edges = np.any([np.diff(values[rows]) != 0 for values in changing], axis=0)
        for piece in np.split(rows, np.flatnonzero(edges) + 1):
            yield name, piece


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
    ruling: dict[int, PolicyReplay],
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
            decided = ledger.policies(places), ledger.lists_offsets(places), ledger.thresholds(places)
            persons = ledger.lists_persons(places)
            alert, said, missing = ruling[partition].of(part, *decided, persons)
            ledger.leave_to_policy(places[wanted & missing], comparison)
            wanted &= ~missing
            scores = type(part.scores)(*(column[wanted] for column in part.scores))
            ledger.compare(places[wanted], scores, alert[wanted], comparison, said[wanted])
    for ledger in emitted.values():
        ledger.finish(comparison)
    return comparison
