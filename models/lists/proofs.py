"""That an entry is one of those that persons signed together: a Merkle tree over the entries, as in RFC 9162, section 2.1.

Persons sign the tree's root once, however many entries a command writes; each record carries its own path to the root, so that
it can be judged alone, whatever became of the others.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from hashlib import sha256

from schemas.lists import ListEntry

LEAF, NODE = b"\x00", b"\x01"
"""Before what is hashed: no node can be passed off as an entry."""

SIGNED_FIELDS = (
    "list_name",
    "field",
    "kind",
    "value",
    "purpose",
    "expires_at_ms",
    "reason",
    "by",
    "source",
    "batch",
    "written_at_ms",
    "removed",
)
"""In this order for ever: what is signed must read the same in every later version."""


def leaf_of(entry: ListEntry) -> bytes:
    """SHA-256 of an entry, all of it but its proof."""
    text = json.dumps([getattr(entry, name) for name in SIGNED_FIELDS], ensure_ascii=True, separators=(",", ":"))
    return sha256(LEAF + text.encode()).digest()


def root_of(entries: Sequence[ListEntry]) -> str:
    """Of the tree over all of them, hex. There has to be one at least."""
    return _levels(entries)[-1][0].hex()


def paths_of(entries: Sequence[ListEntry]) -> list[str]:
    """Of each entry the path to the root: the hashes beside it, from the leaf on, base64."""
    levels = _levels(entries)[:-1]
    paths = []
    for place in range(len(entries)):
        beside = []
        for level in levels:
            if place ^ 1 < len(level):
                beside.append(level[place ^ 1])
            place >>= 1
        paths.append(base64.b64encode(b"".join(beside)).decode())
    return paths


def root_by(entry: ListEntry, place: int, count: int, path: str) -> str | None:
    """The root of the tree of `count` entries that has this one at `place`, hex; None where the path does not fit."""
    try:
        hashes = base64.b64decode(path, validate=True)
    except (binascii.Error, ValueError):
        return None
    found, taken, last = leaf_of(entry), 0, count - 1
    if not 0 <= place < count or len(hashes) % 32:
        return None
    while last:
        if place ^ 1 <= last:
            beside = hashes[taken : taken + 32]
            taken += 32
            found = sha256(NODE + (beside + found if place & 1 else found + beside)).digest()
        place, last = place >> 1, last >> 1
    return found.hex() if taken == len(hashes) else None


def _levels(entries: Sequence[ListEntry]) -> list[list[bytes]]:
    """The tree from the leaves up; what has no neighbour goes up as it is."""
    level = [leaf_of(entry) for entry in entries]
    levels = [level]
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [sha256(NODE + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
        levels.append(level)
    return levels
