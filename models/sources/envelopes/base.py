"""What all envelopes share."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from schemas.codec import SchemaError

Headers = Mapping[str, bytes]
"""Of a record, names in lower case."""


class NotAnEvent(NamedTuple):
    """A record that is passed over: it says that something else happened. why: a word that is safe as a metric's label."""

    why: str


Unwrap = Callable[[Any, Headers], dict[str, Any] | NotAnEvent]
"""Document and headers to the event, or to why there is none. Raises SchemaError where it is not in the envelope."""


def as_object(value: Any, place: str) -> dict[str, Any]:
    """A value that must be an object. place: where it lies, `$` and what follows. Raises SchemaError."""
    if not isinstance(value, dict):
        raise SchemaError(f"Expected `object` at {place}")
    return value
