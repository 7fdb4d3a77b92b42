"""Partial sums to profiles: adds them up by terminal and day, and writes each terminal that changed, about once a second."""

from collections.abc import Sequence
from itertools import compress

import numpy as np
from aiokafka import TopicPartition

from models.features import text_arrays
from models.features.capture import Arrays, Capture
from models.features.profiles import TerminalProfiles
from models.features.terminal_days import DAY_MS
from schemas import codec
from schemas.dead_letter import DeadLetterReason
from schemas.terminal import TerminalProfile, TerminalSums
from schemas.topics import DEAD_LETTERS, TERMINAL_PROFILES
from services.clock import monotonic_s
from services.engine.batches import Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, TimeLimits, count_faults, headers_of, parsed
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings

INTERVAL_S = 1.0
"""A day ends in every partition at about the same time: to wait a little writes each terminal once."""

STATE_VERSION = 3

TERMINALS_MAX = 1_000_000
"""By default: some 630 bytes each."""

PART_FORGOTTEN, PART_FRESH = 64, 8
"""Where the room is full, one in 64 makes way at a time; fresh ones do while they fill an eighth of it (decision 143)."""

COUNT_MAX = 1_000_000
"""Payments at one terminal within a part of a day: profiles are arrays of 32 bits, and no terminal comes near."""


class MergeProcessor:
    """The one partition of `terminal-sums`.

    A profile replaces its predecessor, so to write one again is harmless: what changed and is not known to be written
    is kept, and written after a restart.
    """

    def __init__(
        self,
        source: TopicPartition,
        prefix: str,
        runtime: RuntimeSettings,
        letters: DeadLetterWriter,
        metrics: Metrics,
        terminals_max: int = TERMINALS_MAX,
    ) -> None:
        """terminals_max: with a profile; scorers have no more, since they read what is written here."""
        self._terminals_max, self._trimmed_day = terminals_max, 0
        self._prefix, self._letters, self._metrics = prefix, letters, metrics
        self._label = metrics.label(source)
        self._forgotten = metrics.forgotten_terminals
        for kind in ("fresh", "established"):
            self._forgotten.labels(kind)
        self._bytes_max = runtime.message_bytes_max
        self._times = TimeLimits(runtime.event_ahead_ms_max, 0)
        self._parse = codec.decoder(TerminalSums)
        self._profile = codec.record_type(TerminalProfile)
        self._profiles = TerminalProfiles()
        self._changed: dict[str, None] = {}
        self._last: Record | None = None
        self._written_s = monotonic_s()
        self.state_key = f"merge-{STATE_VERSION}:{self._bytes_max}:{self._times.ahead_ms_max}:{terminals_max}"

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""
        profiles, changed = TerminalProfiles(), arrays["changed"]
        profiles.load(arrays)
        (self._trimmed_day,) = arrays["trimmed_day"].astype(np.int64).tolist()
        gone = text_arrays.unpack(arrays["gone_text"], arrays["gone_end"])
        if len(changed) != len(profiles):
            raise ValueError("the marks of what changed do not fit")
        self._profiles = profiles
        self._changed = {terminal: None for terminal, mark in zip(profiles, changed.tolist(), strict=True) if mark}
        self._changed.update(dict.fromkeys(gone))

    def snapshot(self) -> Capture:
        """The profiles, and which of them are still to be written."""
        terminals, changed, trimmed_day = list(self._profiles), self._changed.copy(), self._trimmed_day

        def marks() -> Arrays:
            marks = [terminal in changed for terminal in terminals]
            # no set of all terminals: the interpreter makes one without letting the state's thread go on
            text, ends = text_arrays.pack(sorted(changed.keys() - set(compress(terminals, marks))))
            return {
                "changed": np.array(marks, np.bool_),
                "trimmed_day": np.array([trimmed_day], np.int64),
                "gone_text": text,
                "gone_end": ends,
            }

        return Capture.joined([self._profiles.capture(), Capture.of(marks)])

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold sums without output. What they changed may have been written or not: it will be written again."""
        for record in records:
            self._add(record)

    async def process(self, records: Sequence[Record]) -> Result:
        """Add, and write what changed if it is time."""
        faults = [fault for record in records if (fault := self._add(record)) is not None]
        writes = [self._letters.write(self._prefix + DEAD_LETTERS.name, faults)]
        if monotonic_s() - self._written_s >= INTERVAL_S:
            writes.append(self._written())
        return Result(writes, len(records), len(faults), faults)

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        return self._letters.refusal(self._prefix + DEAD_LETTERS.name, fault)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        self._metrics.records.labels(self._label).inc(result.records)
        self._metrics.state_keys.labels(self._label).set(len(self._profiles))
        count_faults(self._metrics, result.faults)

    def flush(self, *, force: bool = False) -> Result | None:
        """What changed, when it is time although no record came."""
        due = force or monotonic_s() - self._written_s >= INTERVAL_S
        return Result([self._written()], 0, 0) if due and self._changed and self._last is not None else None

    def _add(self, record: Record) -> Fault | None:
        self._last = record
        sums = parsed(record, self._parse, self._bytes_max)
        if isinstance(sums, Fault):
            return sums
        if not len(sums.terminal_ids) == len(sums.payments) == len(sums.frauds):
            return Fault(record, DeadLetterReason.SCHEMA, "lists of different lengths")
        if any(abs(count) > COUNT_MAX for count in (*sums.payments, *sums.frauds)):
            return Fault(record, DeadLetterReason.SCHEMA, f"a count beyond {COUNT_MAX}")
        # written by us, so the timestamp is not the payer's
        if fault := self._times.fault(record, "day", sums.day * DAY_MS):
            return fault
        full = len(self._profiles) + len(sums.terminal_ids) > self._terminals_max
        # where the room is full a few at a time, so that new ones make way for each other before an established one does
        step = max(1, self._terminals_max // PART_FORGOTTEN) if full else len(sums.terminal_ids) or 1
        for start in range(0, len(sums.terminal_ids), step):
            part = slice(start, start + step)
            terminals = sums.terminal_ids[part]
            if full:
                self._make_room(terminals, sums.day)
            self._metrics.forgotten_sums.inc(
                self._profiles.add(sums.day, terminals, sums.payments[part], sums.frauds[part])
            )
            self._changed.update(dict.fromkeys(terminals))
        return None

    def _make_room(self, terminal_ids: Sequence[str], day: int) -> None:
        """For the new ones among them. What is forgotten for them is written as such, so that scorers forget it, too."""
        if self._lacks_room(terminal_ids) and day > self._trimmed_day:  # a scan of all, once a day
            self._changed.update(dict.fromkeys(self._profiles.trim()))
            self._trimmed_day = day
        while self._lacks_room(terminal_ids):
            part, fresh_min = self._terminals_max // PART_FORGOTTEN, self._terminals_max // PART_FRESH
            kind, terminals = self._profiles.forget(max(1, part), max(1, fresh_min))
            self._forgotten.labels(kind).inc(len(terminals))
            self._changed.update(dict.fromkeys(terminals))

    def _lacks_room(self, terminal_ids: Sequence[str]) -> bool:
        new = {one for one in terminal_ids if one not in self._profiles}
        return 0 < self._terminals_max - len(new) < len(self._profiles)

    def _written(self) -> Write:
        """Everything that changed, under the position of the last sums added."""
        write = Write(self._prefix + TERMINAL_PROFILES.name)
        source = self._last
        if source is not None:
            headers = headers_of(source)
            for terminal_id in self._changed:
                if terminal_id not in self._profiles:
                    write.append(terminal_id.encode(), None, headers)
                    continue
                last_day, payments, frauds = self._profiles.profile(terminal_id)
                value = self._profile(
                    terminal_id=terminal_id, last_day=last_day, payments=tuple(payments), frauds=tuple(frauds)
                )
                write.append(terminal_id.encode(), codec.encode(value), headers)
        self._changed, self._written_s = {}, monotonic_s()
        return write
