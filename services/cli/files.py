"""Commands that read or write files need an extra: this says so in one sentence where it is missing."""

import importlib
from types import ModuleType

from services.runtime.errors import AssayError


def tables() -> ModuleType:
    """`services.cli.tables`. Raises AssayError."""
    return needing_files("services.cli.tables")


def needing_files(module: str) -> ModuleType:
    """A module that needs the extra `files`. Raises AssayError where that is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise AssayError(
            f"Files need {error.name}, which is not installed: pip install 'assay-scoring[files]'."
        ) from None
