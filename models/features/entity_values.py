"""Values of entities as bytes: what a header of an event carries from stage to stage, and to the scorer.

16 bytes name the entities passed and their features, so that values of another spec are never taken for these; then the values,
float32 little-endian, bit for bit as they were computed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.features.entities import DIGEST_BYTES, derived, digest
from schemas.feature_spec import FeatureSpec

FLOAT = np.dtype("<f4")


class EntityValues:
    """Values of the entities `stages`, in this order."""

    def __init__(self, spec: FeatureSpec, stages: Sequence[str]) -> None:
        self.digest = digest(spec, stages)
        self.width = sum(len(derived(spec, name).features) for name in stages)
        self._size = DIGEST_BYTES + FLOAT.itemsize * self.width

    def pack(self, values: NDArray[np.float32]) -> list[bytes]:
        """Of n events, float32[n, width]."""
        content, step = np.ascontiguousarray(values, FLOAT).tobytes(), FLOAT.itemsize * self.width
        return [self.digest + content[row * step : (row + 1) * step] for row in range(len(values))]

    def fits(self, packed: bytes | None) -> bool:
        """Whether these bytes are values of these entities."""
        return packed is not None and len(packed) == self._size and packed.startswith(self.digest)

    def unpack(self, packed: Sequence[bytes]) -> NDArray[np.float32]:
        """float32[n, width] of n events whose bytes all fit."""
        rows = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), self._size)
        content = np.ascontiguousarray(rows[:, DIGEST_BYTES:])
        return content.view(FLOAT).astype(np.float32, copy=False).reshape(len(packed), self.width)
