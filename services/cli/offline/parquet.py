"""Columns into a Parquet file: at once or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from models import durable
from services.errors import AssayError


def write_whole(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns of one length. Raises AssayError."""
    part = path.with_name(f"{path.name}.part")
    try:
        pl.DataFrame(dict(columns), strict=False).write_parquet(part)
        durable.replace(part, path)
    except OSError as error:
        raise AssayError(f"{path} cannot be written ({error.strerror or error}): choose another place.") from None
