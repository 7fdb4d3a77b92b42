"""Functions compiled by numba, and kept on disk."""

import functools
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

try:
    from numba import njit
except ModuleNotFoundError:  # the slim image has neither numba nor LLVM, for services that compute nothing
    njit = None

HAS_COMPILER = njit is not None


class CompilerMissingError(ValueError):
    """A function was called that cannot be compiled here: one sentence."""


def compiled(function: Any) -> Any:
    """Compile a function at its first call, and keep it on disk until a source of its package changes.

    numba itself looks at the function's own file only: code that calls a function of another file, or reads a tuple whose
    fields changed places there, would stay as it was. Without numba, a call raises CompilerMissingError.
    """
    if njit is None:
        return _missing
    found = njit(cache=True, nogil=True, error_model="numpy")(function)
    index = getattr(found._cache, "_cache_file", None)
    depth = function.__module__.count(".")
    if index is not None:
        if depth:
            index._source_stamp = (index._source_stamp, _digest(Path(inspect.getfile(function)).parents[depth - 1]))
        index._load_index = _or_nothing(index._load_index)
    return found


def check_compiler() -> None:
    """At the start of what computes with its first event only. Raises CompilerMissingError."""
    if njit is None:
        _missing()


def _missing(*_: Any, **__: Any) -> NoReturn:
    raise CompilerMissingError(
        "This needs numba, which is not installed: a slim image computes neither features nor scores, so take the image "
        "without -slim in its tag, or `pip install numba`."
    )


def _or_nothing(load: Callable[[], dict[Any, str]]) -> Callable[[], dict[Any, str]]:
    """The index, or an empty one where an earlier version wrote it with types that are gone: numba would raise at each call.

    Not asked before the first call: the types may be of modules that are still being imported.
    """

    def load_what_is_readable() -> dict[Any, str]:
        try:
            return load()
        except Exception:  # whatever pickle meets
            return {}

    return load_what_is_readable


@functools.cache
def _digest(folder: Path) -> str:
    """Of every Python source in it."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
