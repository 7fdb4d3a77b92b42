"""When to stop filling a micro-batch: bounds the transactions a second of a process while it keeps up."""

from services.clock import monotonic_s

"""Defaults, by what a batch costs the loop: 2 ms with a Kafka transaction, half of it without."""

PAUSE_SHARE = 0.5
"""Of what the last transaction took. Where transactions take longer than their share of time, a worker that began the next
one at once would keep the process, and the brokers, busy with small ones."""


class Pacer:
    """Shared by the workers of one process.

    While a process keeps up, each of its n partitions starts a transaction at most every n / transactions_per_s_max
    seconds, so that many quiet partitions cost no more than a few busy ones; where a transaction takes about as long as
    that share or longer, a pause of PAUSE_SHARE of it follows, at most one share. A full batch never waits.
    """

    def __init__(self, transactions_per_s_max: float) -> None:
        self._transactions_per_s_max = transactions_per_s_max
        self.partitions = 1

    def due_s(self, last_start_s: float, took_s: float) -> float:
        """When a partition whose last batch began at `last_start_s`, and took so long, may close its next one.

        Both on the monotonic clock.
        """
        share_s = self.partitions / self._transactions_per_s_max
        return last_start_s + max(share_s, took_s + min(PAUSE_SHARE * took_s, share_s))

    def now_s(self) -> float:
        """The monotonic clock."""
        return monotonic_s()
