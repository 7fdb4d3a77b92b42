"""Whether each subject's records lie on one partition: what is split has a history in each place, and each misses a part."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.verification.verdict import Verdict

PENDING_MAX = 1_000_000


class Placement:
    """The subjects (cards, applicants) whose records were scored from each input partition, 8 bytes a subject and partition.

    They are told apart by 64 bits of a hash with a key of this process: two that fall together may hide a split, never make one
    up that a second look would show again.
    """

    def __init__(self) -> None:
        self._known: dict[int, NDArray[np.int64]] = {}
        self._pending: dict[int, list[NDArray[np.int64]]] = {}

    def add(self, partition: int, keys: Sequence[bytes | None]) -> None:
        """Keys of scores, which are their subjects' ids, made from an input partition."""
        keys = [key for key in keys if key is not None]
        pending = self._pending.setdefault(partition, [])
        pending.append(np.fromiter((hash(key) for key in keys), np.int64, len(keys)))
        if sum(map(len, pending)) >= PENDING_MAX:
            self._settle(partition)

    def judge(self) -> Verdict:
        """subjects: how many; split_subjects: those on more than one partition."""
        for partition in self._pending:
            self._settle(partition)
        found = np.concatenate([np.empty(0, np.int64), *self._known.values()])
        _, partitions = np.unique(found, return_counts=True)
        return Verdict(subjects=len(partitions), split_subjects=int(np.count_nonzero(partitions > 1)))

    def _settle(self, partition: int) -> None:
        known = self._known.get(partition, np.empty(0, np.int64))
        self._known[partition] = np.unique(np.concatenate([known, *self._pending[partition]]))
        self._pending[partition] = []
