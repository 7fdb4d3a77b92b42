"""The references of the bundles that score, as a table that follows `model-references`."""

from collections.abc import Sequence

import structlog

from schemas import codec
from schemas.monitor import ModelReference
from services.engine.batches import Record

log = structlog.get_logger(__name__)


class References:
    """By model, as on scores."""

    def __init__(self) -> None:
        self._known: dict[str, ModelReference] = {}

    def apply(self, records: Sequence[Record]) -> None:
        """Take in the next records. One that is no reference is skipped, and said so."""
        for record in records:
            try:
                known = codec.read(ModelReference, record.value or b"")
            except (codec.RejectedError, ValueError) as error:
                log.error("references.record_refused", offset=record.offset, error=type(error).__name__)
                continue
            self._known[known.model] = known

    def get(self, model: str) -> ModelReference | None:
        """None where it has not been told yet."""
        return self._known.get(model)
