"""What labels change of the terminals' sums: the terminal is the one entity by which the profiler counts frauds."""

from collections.abc import Mapping, Sequence

from models.features.terminal_days import DAY_MS
from models.features.terminals import NAME as TERMINAL
from schemas import codec
from schemas.label import Label
from schemas.terminal import TerminalSums
from schemas.topics import TERMINAL_SUMS
from services.engine.batches import Write
from services.engine.faults import headers_of
from services.profiler.labels import Change, Counted

STATE_VERSION = 3


def by_terminal(prefix: str) -> Counted:
    """Frauds by terminal and UTC day. prefix: of topics."""
    topic, make = prefix + TERMINAL_SUMS.name, codec.record_type(TerminalSums)

    def writes(changes: Sequence[Change]) -> list[Write]:
        sums = Write(topic)
        for record, told, verdict in changes:
            number = 1 if verdict == "fraud" else -1
            value = make(day=told.event_time_ms // DAY_MS, terminal_ids=told.ids, payments=(0,), frauds=(number,))
            sums.append(None, codec.encode(value), headers_of(record))
        return [sums]

    return Counted(f"verdicts-{STATE_VERSION}", (TERMINAL,), _ids, writes)


def _ids(label: Label) -> Mapping[str, str]:
    return {} if label.terminal_id is None else {TERMINAL: label.terminal_id}
