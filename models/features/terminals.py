"""The terminal as an entity: what profile features say of a file's payments, by the code of all entities.

A profile is what labels say of the entity `terminal_id` in windows of whole days. Live, every scorer has it as a table, which
the profiler writes (`profiles`); a file has its payments and verdicts in one place, so its terminals are folded as any entity.
"""

import numpy as np
from numpy.typing import NDArray

from models.features.columns import TransactionColumns
from models.features.entities import EntityFold
from schemas.feature_kinds.history import LabelsFeature, ProfileFeature
from schemas.feature_spec import Entity, FeatureSpec, Window

NAME, FIELD = "terminal", "terminal_id"


def profile_places(spec: FeatureSpec) -> NDArray[np.int64]:
    """Columns of the profile features, in order."""
    places = (place for place, feature in enumerate(spec.features) if isinstance(feature, ProfileFeature))
    return np.array(list(places), np.int64)


def as_entity(spec: FeatureSpec) -> FeatureSpec:
    """The profile features of a spec, of which there is one at least, as features of an entity's labels."""
    profiled = [feature for feature in spec.features if isinstance(feature, ProfileFeature)]
    return FeatureSpec(
        version=1,
        allowed_lateness=spec.allowed_lateness,
        entities={NAME: Entity(id=FIELD)},
        windows=tuple(
            Window(duration=f"{days}d", buckets=days) for days in dict.fromkeys(f.window_days for f in profiled)
        ),
        features=tuple(
            LabelsFeature(
                name=feature.name,
                kind="labels",
                key=NAME,
                aggregation=feature.aggregation,
                window=f"{feature.window_days}d",
                label_delay=f"{spec.label_delay_days}d",
                transform=feature.transform,
            )
            for feature in profiled
        ),
    )


class TerminalFold:
    """Histories of up to `ids_max` terminals of a file, in order of time; a file keeps them all."""

    def __init__(self, spec: FeatureSpec, ids_max: int, known_after_days: int | None = None) -> None:
        """spec: profiled. known_after_days: as `Labelled` has it."""
        self._places = profile_places(spec)
        self._fold = EntityFold(as_entity(spec), NAME, ids_max, known_after_days)

    def fill(self, columns: TransactionColumns, is_fraud: NDArray[np.bool_], matrix: NDArray[np.float32]) -> None:
        """Fill the profile features' columns of n payments, which are remembered. is_fraud: bool[n]. matrix: float32[n, F]."""
        matrix[:, self._places] = self._fold.values(columns, is_fraud=is_fraud)
