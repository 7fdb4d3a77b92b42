"""Functions compiled by numba, and kept on disk."""

import contextlib
from typing import Any

from numba import njit


def compiled(function: Any) -> Any:
    """Compile a function, and keep it on disk. What an earlier version kept there, with types that are gone, is dropped.

    numba unpickles the index before it compares the source's date, so it would raise AttributeError at each call.
    """
    found = njit(cache=True, nogil=True, error_model="numpy")(function)
    index = getattr(found._cache, "_cache_file", None)
    if index is not None:
        try:
            index._load_index()
        except Exception:  # whatever pickle meets
            with contextlib.suppress(OSError):
                index.flush()
    return found
