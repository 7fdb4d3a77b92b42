"""What the watchdog knows of one partition: where its log ends, what of it can be read, and since when that has not changed."""

from dataclasses import dataclass

from aiokafka import TopicPartition


@dataclass(slots=True)
class Hidden:
    """All waiting records are behind an open transaction. stable_offset: where it begins, and where committed reads end."""

    stable_offset: int
    end_offset: int
    since_s: float
    opener: str | None = None


class Watched:
    """Partitions with an open transaction at the end of what is processed, and since when."""

    def __init__(self) -> None:
        self._hidden: dict[TopicPartition, Hidden] = {}

    def see(self, source: TopicPartition, passed: int, stable: int, end: int, now_s: float) -> Hidden | None:
        """One look. passed: where the worker is; stable: how far committed records can be read; end: of the log.

        None unless everything readable is worked and something waits behind it: it is other producers' until it has stood
        for a while, since a transaction under way looks the same.
        """
        if stable > passed or end <= stable:
            self._hidden.pop(source, None)
            return None
        known = self._hidden.get(source)
        if known is None or known.stable_offset != stable:
            known = self._hidden[source] = Hidden(stable, end, now_s)
        known.end_offset = end
        return known

    def forget(self, source: TopicPartition) -> None:
        """Not ours any more."""
        self._hidden.pop(source, None)

    def hidden_for(self, seconds: float, now_s: float) -> dict[TopicPartition, Hidden]:
        """Partitions whose waiting records have been hidden for so long."""
        return {source: hidden for source, hidden in self._hidden.items() if now_s - hidden.since_s >= seconds}
