"""The references of the bundles that score, as a table that follows `model-references`."""

from collections.abc import Sequence

from schemas import codec
from schemas.monitor import ModelReference
from schemas.topics import MODEL_REFERENCES, Topic
from services.engine.batches import Record
from services.engine.tables import each
from services.observability.metrics import Metrics


class References:
    """By model, as on scores. A model without one is not compared."""

    def __init__(self, metrics: Metrics, topic: Topic = MODEL_REFERENCES) -> None:
        self._metrics, self._topic = metrics, topic
        self._known: dict[str, ModelReference] = {}

    def apply(self, records: Sequence[Record]) -> None:
        """Take in the next records. An invalid one is skipped and logged."""
        each(self._topic, records, self._take, self._metrics)

    def _take(self, record: Record) -> None:
        known = codec.read(ModelReference, record.value or b"")
        self._known[known.model] = known

    def get(self, model: str) -> ModelReference | None:
        """None where it has not arrived yet."""
        return self._known.get(model)
