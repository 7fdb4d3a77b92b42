"""The columns of a history in the files of a folder, written part by part: its features need not fit into memory."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.durable import make_directory
from models.training import mapped
from models.training.data import Dataset, TrainingError

COLUMNS = {"features": "<f4", "card": "<i8", "day": "<i8", "is_fraud": "?", "scenario": "i1", "amount": "<f8"}


def stored(parts: Iterable[Dataset], directory: Path) -> Dataset:
    """All rows of the parts, one after the other, in mapped files of `directory`.

    Raises TrainingError where they cannot be written, or there are none.
    """
    make_directory(directory)
    rows, width = 0, 0
    try:
        with ExitStack() as opened:
            files = {name: opened.enter_context(_file(directory, name).open("wb")) for name in COLUMNS}
            for part in parts:
                rows, width = rows + len(part), part.features.shape[1]
                for name, kind in COLUMNS.items():
                    files[name].write(_bytes(getattr(part, name), kind))
    except OSError as error:
        raise TrainingError(
            f"{directory} does not take the features ({error.strerror}): give a folder with room for them."
        ) from None
    if rows == 0:
        raise TrainingError("There are no payments to train on; give a history that holds some.")
    columns = {
        name: mapped.opened(_file(directory, name), kind, (rows, width) if name == "features" else (rows,))
        for name, kind in COLUMNS.items()
    }
    return Dataset(**columns)


def _bytes(column: NDArray[Any], kind: str) -> memoryview | bytes:
    return np.ascontiguousarray(column, kind).data.cast("B") if len(column) else b""


def _file(directory: Path, name: str) -> Path:
    return directory / f"{name}.bin"
