"""JSON, also behind a schema's id: it can be read without its schema, so the registry is not asked."""

from collections.abc import Sequence
from typing import Any

from schemas import codec
from services.formats.framing import SchemaId, unframed

read_json = codec.native_decoder(Any)
"""Any JSON. Raises RejectedError's kinds."""


class JsonDocuments:
    """Values as JSON documents. framed: behind a zero byte and a schema's id."""

    def __init__(self, *, framed: bool) -> None:
        self._framed = framed

    def missing(self, payloads: Sequence[bytes]) -> set[SchemaId]:
        """None: no schema is needed."""
        return set()

    async def look_up(self, missing: set[SchemaId]) -> None:
        """Nothing."""

    def document(self, payload: bytes) -> Any:
        """The value. Raises RejectedError's kinds."""
        return read_json(unframed(payload).payload if self._framed else payload)

    async def close(self) -> None:
        """Nothing."""
