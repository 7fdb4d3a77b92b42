"""Debezium's change events: the row as it is after a change. Deletions say that no event happened, so they are passed over."""

from typing import Any

from models.sources.envelopes.base import Headers, NotAnEvent, as_object
from models.sources.envelopes.connect import with_decimals
from schemas.codec import SchemaError

WRITES = ("c", "r", "u")
"""Created, read by a snapshot, updated."""

OTHERS = {"d": "delete", "t": "truncate", "m": "message"}


def unwrap(document: Any, headers: Headers) -> dict[str, Any] | NotAnEvent:
    """The row after the change; `__op`, `__ts_ms` and `__source` say how it came about, named as Debezium's own SMT does."""
    fields = as_object(document, "$")
    place = "$"
    if "payload" in fields and "op" not in fields:
        place = "$.payload"
        if fields["payload"] is None:
            return NotAnEvent("tombstone")
        fields = as_object(with_decimals(fields["payload"], fields.get("schema")), place)
    op = fields.get("op")
    if op in WRITES:
        row = as_object(fields.get("after"), f"{place}.after")
        return {**row, "__op": op, "__ts_ms": fields.get("ts_ms"), "__source": fields.get("source")}
    if isinstance(op, str) and op in OTHERS:
        return NotAnEvent(OTHERS[op])
    raise SchemaError(f"Expected one of c, r, u, d, t, m at {place}.op")
