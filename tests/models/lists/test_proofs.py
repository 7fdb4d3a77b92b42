"""Proofs that entries were signed together: each holds for its own entry and place, and for nothing else."""

import base64
from typing import Any

import pytest

from models.lists.proofs import SIGNED_FIELDS, leaf_of, paths_of, root_by, root_of
from schemas.lists import ListEntry


def entry(value: str, **changes: Any) -> ListEntry:
    """An entry of `blocked`."""
    return ListEntry(list_name="blocked", field="device", kind="value", value=value, **changes)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 33, 1000])
def test_each_entry_leads_to_the_root_from_its_own_place_alone(count: int) -> None:
    """Whatever the number of entries."""
    entries = [entry(f"d-{number}") for number in range(count)]
    root, paths = root_of(entries), paths_of(entries)
    for place in range(0, count, max(1, count // 40)):
        assert root_by(entries[place], place, count, paths[place]) == root
        assert root_by(entry("other"), place, count, paths[place]) != root
        assert root_by(entries[place], place, count, paths[place] and paths[place][:-4]) != root or count == 1
        assert root_by(entries[place], (place + 1) % count, count, paths[place]) != root or count == 1
        assert root_by(entries[place], place, count * 2, paths[place]) != root


@pytest.mark.parametrize(
    ("place", "count", "path"), [(-1, 1, ""), (1, 1, ""), (0, 0, ""), (0, 2, ""), (0, 1, "AAAA"), (0, 2, "no base64!")]
)
def test_a_path_that_does_not_fit_leads_nowhere(place: int, count: int, path: str) -> None:
    """None, whatever it is; never an error."""
    assert root_by(entry("d-1"), place, count, path) is None


def test_a_node_is_no_entry() -> None:
    """Two leaves, hashed as a node, cannot stand as the leaf of a smaller tree."""
    entries = [entry(f"d-{number}") for number in range(4)]
    inner = base64.b64decode(paths_of(entries)[0])[32:]
    assert inner not in {leaf_of(one) for one in entries}
    assert root_by(entries[0], 0, 2, base64.b64encode(inner).decode()) != root_of(entries)


def test_every_field_but_the_proof_is_signed() -> None:
    """A field that is added later has to be added to what is signed, at its end."""
    assert {*SIGNED_FIELDS} == {*ListEntry.model_fields} - {"proof"}
    changes: dict[str, Any] = {
        "list_name": "other",
        "field": "ip",
        "kind": "range",
        "value": "d-2",
        "purpose": "deny",
        "expires_at_ms": 5,
        "reason": "r",
        "by": "b",
        "source": "s",
        "batch": "x",
        "written_at_ms": 7,
        "removed": True,
    }
    assert {*changes} == {*SIGNED_FIELDS}
    for name, value in changes.items():
        assert leaf_of(entry("d-1").model_copy(update={name: value})) != leaf_of(entry("d-1")), name


def test_what_was_signed_reads_the_same_in_later_versions() -> None:
    """A root as this version makes it."""
    entries = [entry("d-1", reason="ü", batch="b", written_at_ms=1), entry("d-2", expires_at_ms=9, removed=True)]
    assert root_of(entries) == "2c9c212a2100ee8c8cfe4a192e3bfcd0e1a9adbf6393995e5296786696fdd606"
