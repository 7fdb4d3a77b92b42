"""Which column of a file holds which field: the one of its name, or the one that `--map FIELD=COLUMN` names."""

from collections.abc import Collection, Sequence
from pathlib import Path

from models.files.options import nearest, shown
from services.errors import AssayError


def columns_of(
    pairs: Sequence[str],
    header: Sequence[str],
    path: Path,
    fields: Sequence[str],
    needed: Sequence[str],
    given: Collection[str] = (),
) -> dict[str, str]:
    """Column of each field that the file has. given: read from a column only where a pair says so. Raises AssayError."""
    names = {field: field for field in fields if field in header and field not in given}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or field not in fields or column not in header:
            raise AssayError(
                f"--map {pair} is not FIELD=COLUMN with a field of {', '.join(fields)} and a column of {path}: correct it."
            )
        names[field] = column
    for field in needed:
        if field not in names:
            like = nearest(field, header)
            fix = f"--map {field}={shown([like])}, the nearest" if like else f"--map {field}=COLUMN"
            raise AssayError(
                f"{path} has no column {field}: say which one it is with {fix}; there are {shown(list(header))}."
            )
    return names
