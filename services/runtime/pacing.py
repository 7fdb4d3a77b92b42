"""When to stop filling a micro-batch: bounds the transactions a second of a process while it keeps up."""

from services.runtime.clock import monotonic_s


class Pacer:
    """Shared by the workers of one process.

    While a process keeps up, each of its n partitions starts a transaction at most every n / transactions_per_s_max
    seconds, so that many quiet partitions cost no more than a few busy ones. A full batch never waits.
    """

    def __init__(self, transactions_per_s_max: float) -> None:
        self._transactions_per_s_max = transactions_per_s_max
        self.partitions = 1

    def due_s(self, last_start_s: float) -> float:
        """When a partition whose last batch began at `last_start_s` may close its next one, on the monotonic clock."""
        return last_start_s + self.partitions / self._transactions_per_s_max

    def now_s(self) -> float:
        """The monotonic clock."""
        return monotonic_s()
