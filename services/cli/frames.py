"""A frame into a CSV or Parquet file: at once or not at all."""

from pathlib import Path

import polars as pl

from models import durable
from services.errors import AssayError


def write_whole(path: Path, frame: pl.DataFrame) -> None:
    """Write a frame as the suffix says. Raises AssayError."""
    part = path.with_name(f"{path.name}.part")
    try:
        frame.write_csv(part) if path.suffix == ".csv" else frame.write_parquet(part)
        durable.replace(part, path)
    except OSError as error:
        raise AssayError(f"{path} cannot be written ({error.strerror or error}): choose another place.") from None
