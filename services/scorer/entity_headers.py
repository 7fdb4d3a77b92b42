"""What an event's header says of its entities, as columns. A record without it, or of another spec, is a fault."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features.entity_values import EntityValues
from schemas.dead_letter import DeadLetterReason
from schemas.feature_spec import FeatureSpec
from schemas.topics import ENTITY_VALUES_HEADER
from services.engine.batches import Record
from services.engine.faults import Fault

DETAIL = (
    "its header assay-entity-values is missing or of another feature spec: let `assay entities` drain before its spec "
    "changes"
)


class Read(NamedTuple):
    """float32[n, K] of the records that have their values; places of these, or None where all have; faults of the others."""

    values: NDArray[np.float32]
    places: list[int] | None
    faults: list[Fault]


class EntityHeaders:
    """Reads the values of a spec's entities."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._values = EntityValues(spec, spec.stages)

    @classmethod
    def of(cls, spec: FeatureSpec) -> "EntityHeaders | None":
        """None where the spec reads no entity."""
        return cls(spec) if spec.stages else None

    def read(self, records: Sequence[Record]) -> Read:
        """Of records in order."""
        packed = [_packed(record) for record in records]
        fits = [self._values.fits(one) for one in packed]
        good = [one for one in packed if one is not None] if all(fits) else []
        if len(good) == len(packed):
            return Read(self._values.unpack(good), None, [])
        places = [row for row, fit in enumerate(fits) if fit]
        good = [one for one, fit in zip(packed, fits, strict=True) if fit and one is not None]
        faults = [
            Fault(record, DeadLetterReason.SCHEMA, DETAIL) for record, fit in zip(records, fits, strict=True) if not fit
        ]
        return Read(self._values.unpack(good), places, faults)


def _packed(record: Record) -> bytes | None:
    headers = record.headers
    if headers and headers[0][0] == ENTITY_VALUES_HEADER:  # where our own writer puts it
        first: bytes | None = headers[0][1]
        return first
    return dict(headers).get(ENTITY_VALUES_HEADER)
