"""Where a value lies in an event: `payment.amount.value`, `items[0].price`, `["odd.name"].id`. Pure."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

PARTS_MAX = 16
"""Levels of a path, at most."""

INDEX_MAX = 999

ROW = "$row"
"""Where a file's row has its number, from 1: no path of a spec's, which cannot begin with $."""

Parts = tuple[str | int, ...]
"""Names of objects' fields, and places in lists, from the outside in."""

_PART = re.compile(r'(?:^|\.)([^.\[\]"\x00-\x1f\x7f]+)|\[([0-9]{1,3})\]|(?:^|\.)?\["([^"\\\x00-\x1f\x7f]+)"\]')


def parts(path: str) -> Parts:
    """The levels of a path. Raises ValueError, one sentence, where it is none.

    >>> parts('items[0].price'), parts('["odd.name"].id')
    (('items', 0, 'price'), ('odd.name', 'id'))
    """
    if path == ROW:
        return (ROW,)
    found: list[str | int] = []
    at = 0
    while at < len(path):
        match = _PART.match(path, at)
        if match is None or match.end() == at:
            raise ValueError(
                f'{path!r} is no path at character {at + 1}; write it as payment.card.id, items[0] or ["a.b"]'
            )
        name, index, quoted = match.groups()
        found.append(int(index) if index is not None else (name or quoted))
        at = match.end()
    if not found or isinstance(found[0], int):
        raise ValueError(f"{path!r} does not begin with a field's name; an event is an object of fields")
    if path.startswith("$"):
        raise ValueError(
            f"{path!r} begins with $, which is kept for the record's key and headers; begin with a field's name"
        )
    if len(found) > PARTS_MAX:
        raise ValueError(f"{path!r} has more than {PARTS_MAX} levels; shorten it")
    return tuple(found)


def shown(found: Parts) -> str:
    """A path as its parts are written.

    >>> shown(('items', 0, 'odd.name'))
    'items[0]["odd.name"]'
    """
    text = ""
    for part in found:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r'[^.\[\]"]+', part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def _checked(path: str) -> str:
    try:
        parts(path if path != ROW else f"{path}.")
    except ValueError as error:
        raise PydanticCustomError("spec", "{problem}", {"problem": str(error)}) from None
    return path


Path = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_checked)]
"""As a spec has it."""
