"""What an event meets: its entities in order, their keys and partitions, and the records that carry it on. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.entities import EntityFold, derived, digest, entity_ids
from models.features.entity_values import EntityValues
from models.features.layout import entity_fields, number_fields
from models.sources.events import Events
from schemas.feature_spec import FeatureSpec
from schemas.source_spec import SourceSpec
from schemas.topics import ENTITY_EVENTS, ENTITY_FEATURES, ENTITY_HEADER, ENTITY_VALUES_HEADER
from services.engine.batches import Headers, Record, Write
from services.engine.placement import Subjects


@dataclass(frozen=True, slots=True)
class Passing:
    """n events of one batch on their way. headers: those that name their records in the source. origins: int64[n], the source's
    partitions.
    """

    records: Sequence[Record]
    events: Events
    headers: Sequence[Headers]
    origins: NDArray[np.int64]


class Chain:
    """The stages of a feature spec. source: of the records. ids_max: remembered of each entity in a partition. routed: whether
    intake made the records.
    """

    def __init__(
        self, spec: FeatureSpec, source: SourceSpec | None, prefix: str, ids_max: int, *, routed: bool = False
    ) -> None:
        self.routed = routed
        self.spec, self.source, self.ids_max = spec, source, ids_max
        self.stages = spec.stages
        self.passed = [EntityValues(spec, self.stages[:number]) for number in range(len(self.stages) + 1)]
        """What is carried before each stage, and at the end."""
        self._reads = {name: (entity_fields(spec, name), number_fields(derived(spec, name))) for name in self.stages}
        self._events, self._features = prefix + ENTITY_EVENTS.name, prefix + ENTITY_FEATURES.name

    @property
    def digest(self) -> str:
        """What names the whole chain (hex)."""
        return self.passed[-1].digest.hex()

    @property
    def labelled_digest(self) -> str:
        """What names the entities to which labels go (hex)."""
        return digest(self.spec, self.spec.labelled).hex()

    def fold(self, name: str) -> EntityFold:
        """An empty state of one entity."""
        return EntityFold(self.spec, name, self.ids_max)

    def columns(self, name: str, events: Events) -> TransactionColumns:
        """What the fold of an entity reads, its ids included."""
        fields, numbers = self._reads[name]
        return events.columns(fields, None, numbers)

    def ids(self, name: str, columns: TransactionColumns) -> list[str]:
        """Of the entity; NO_VALUE where an event has none."""
        return entity_ids(self.spec, name, columns)

    def onward(self, passing: Passing, values: NDArray[np.float32], stage: int) -> Write:
        """To stage number `stage`, or behind the last one to the scorer. values: float32[n, ...] of the stages before."""
        packed = [(ENTITY_VALUES_HEADER, one) for one in self.passed[stage].pack(values)]
        stamps = [record.timestamp for record in passing.records]
        content = [record.value for record in passing.records]
        origins = passing.origins
        if stage == len(self.stages):
            keys: list[bytes | None] = [subject.encode() for subject in passing.events.subjects]
            headers = [[one, *rest] for one, rest in zip(packed, passing.headers, strict=True)]
            return Write(self._features, keys, content, headers, stamps, lambda number: origins % number)
        name = self.stages[stage]
        ids = self.ids(name, self.columns(name, passing.events))
        texts = [key_of(name, id_) for id_ in ids]
        lacking = np.array([id_ == NO_VALUE for id_ in ids], np.bool_)
        next_stage = (ENTITY_HEADER, name.encode())
        headers = [[one, next_stage, *rest] for one, rest in zip(packed, passing.headers, strict=True)]
        owners = Subjects.of(texts)

        def places(number: int) -> NDArray[np.int64]:
            """An event without such an entity stays where it came from: no partition gets them all."""
            return np.where(lacking, origins % number, owners.partitions(number))

        return Write(self._events, [text.encode() for text in texts], content, headers, stamps, places)


def key_of(name: str, id_: str) -> str:
    """The key of an entity's records."""
    return f"{name}:{'' if id_ == NO_VALUE else id_}"
