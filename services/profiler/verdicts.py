"""Labels to frauds by terminal and day. The latest verdict on a payment counts, and withdraws an earlier one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition

from models.features import text_arrays
from models.features.capture import Arrays, Capture
from schemas import codec
from schemas.label import Label
from schemas.terminal import TerminalSums
from schemas.topics import DEAD_LETTERS, TERMINAL_SUMS
from services.engine.batches import Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, TimeLimits, count_faults, headers_of
from services.observability.metrics import Metrics
from services.profiler.judged import FraudsKnown
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings

DAY_MS = 86_400_000
STATE_VERSION = 2


class Fraud(NamedTuple):
    """Where a fraud was counted."""

    terminal_id: str
    day: int


class VerdictProcessor:
    """One partition of `labels`, keyed by transaction: every verdict on a payment comes here, in order."""

    def __init__(
        self,
        source: TopicPartition,
        prefix: str,
        runtime: RuntimeSettings,
        profiler: ProfilerSettings,
        letters: DeadLetterWriter,
        metrics: Metrics,
        *,
        scan_ids: bool = False,
    ) -> None:
        """scan_ids: for card numbers, in all ids and not in the card's alone."""
        self._prefix, self._letters, self._metrics = prefix, letters, metrics
        self._label = metrics.label(source)
        bytes_max, frauds_max = runtime.message_bytes_max, profiler.frauds_max
        times = TimeLimits(runtime.event_ahead_ms_max, runtime.event_time_ms_min)
        self._known = FraudsKnown(bytes_max, times, frauds_max, _place, scan_ids=scan_ids)
        self._sums = codec.record_type(TerminalSums)
        self.state_key = (
            f"verdicts-{STATE_VERSION}:{frauds_max}:{bytes_max}:{times.ahead_ms_max}:{times.floor_ms}:{scan_ids:d}"
        )

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""
        ids, terminals = (
            text_arrays.unpack(arrays[f"{name}_text"], arrays[f"{name}_end"]) for name in ("id", "terminal")
        )
        rows = zip(ids, terminals, arrays["day"].tolist(), strict=True)
        self._known.frauds = {transaction_id: Fraud(terminal, day) for transaction_id, terminal, day in rows}

    def snapshot(self) -> Capture:
        """The frauds known, in the order in which they came."""
        frauds = self._known.frauds.copy()

        def pack() -> Arrays:
            arrays: Arrays = {"day": np.array([fraud.day for fraud in frauds.values()], np.int64)}
            arrays["id_text"], arrays["id_end"] = text_arrays.pack(frauds)
            arrays["terminal_text"], arrays["terminal_end"] = text_arrays.pack(f.terminal_id for f in frauds.values())
            return arrays

        return Capture.of(pack)

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold labels without output."""
        for record in records:
            self._known.judge(record)

    async def process(self, records: Sequence[Record]) -> Result:
        """Frauds counted and withdrawn; a label that repeats the last verdict changes nothing."""
        sums, faults = Write(self._prefix + TERMINAL_SUMS.name), []
        unplaced = 0
        for record in records:
            change = self._known.judge(record)
            if change == "unplaced":
                unplaced += 1
            elif isinstance(change, Fault):
                faults.append(change)
            elif change is not None:
                fraud, verdict = change
                number = 1 if verdict == "fraud" else -1
                value = self._sums(day=fraud.day, terminal_ids=(fraud.terminal_id,), payments=(0,), frauds=(number,))
                sums.append(None, codec.encode(value), headers_of(record))
        writes = [sums, self._letters.write(self._prefix + DEAD_LETTERS.name, faults)]
        return Result(writes, len(records), len(faults), faults, judged=unplaced)

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        return self._letters.refusal(self._prefix + DEAD_LETTERS.name, fault)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        self._metrics.records.labels(self._label).inc(result.records)
        self._metrics.unplaced_labels.inc(result.judged or 0)
        count_faults(self._metrics, result.faults)

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""


def _place(label: Label) -> Fraud | None:
    """Where and on which day; None where the label does not say both."""
    if label.terminal_id is None or label.event_time_ms is None:
        return None
    return Fraud(label.terminal_id, label.event_time_ms // DAY_MS)
