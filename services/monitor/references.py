"""The references of the bundles that score, as a table that follows `model-references`."""

from collections.abc import Callable, Sequence

from schemas import codec
from schemas.monitor import ModelReference
from services.engine.batches import Record


class References:
    """By model, as on scores. skipped: given each record that is no reference, and why."""

    def __init__(self, skipped: Callable[[Record, str], None]) -> None:
        self._skipped = skipped
        self._known: dict[str, ModelReference] = {}

    def apply(self, records: Sequence[Record]) -> None:
        """Take in the next records. A model without one is not compared."""
        for record in records:
            try:
                known = codec.read(ModelReference, record.value or b"")
            except codec.RejectedError as error:
                self._skipped(record, str(error))
                continue
            self._known[known.model] = known

    def get(self, model: str) -> ModelReference | None:
        """None where it has not been told yet."""
        return self._known.get(model)
