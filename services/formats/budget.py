"""How many values a document may have: bytes bound a record, and by its schema a record of few bytes may hold many values."""

import threading

from schemas.codec import SchemaError


class _Left(threading.local):
    values = 1 << 62  # where no document has begun: a test of one format alone


_left = _Left()


def begin(json_bytes_max: int) -> None:
    """A document begins, in this thread. A value has two bytes of JSON at least, so more values could not be written."""
    _left.values = json_bytes_max // 2


def spend(values: int) -> None:
    """So many more are about to be there. Raises SchemaError."""
    _left.values -= values
    if _left.values < 0:
        raise SchemaError("by its schema it holds more values than a document may have bytes")
