"""Commands that read or write files need an extra: where it is missing, one sentence says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.installation import lacking
from services.errors import AssayError


@contextmanager
def needing_files() -> Iterator[None]:
    """Around an import that needs the extra `files`. Raises AssayError where that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise AssayError(lacking("Files need", error, "files")) from None
