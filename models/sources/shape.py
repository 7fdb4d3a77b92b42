"""The types of msgspec that a source spec's paths make, nested as its events are: what is not named is skipped unread.

A list is kept undecoded, and only the elements that a path names are: the others may be anything.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple

from schemas import codec
from schemas.paths import Parts, parts, shown

COMPARED = str | int | float | bool
"""The type of what a condition compares, and no field reads."""


class Leaf(NamedTuple):
    """A value to read. kind: its type, as msgspec has it; None is added where it is not required."""

    path: str
    kind: Any
    required: bool


@dataclass(slots=True)
class _Node:
    """An object, a list or a value of the events."""

    fields: dict[str, "_Node"] = field(default_factory=dict)
    elements: dict[int, "_Node"] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)

    @property
    def required(self) -> bool:
        """Whether an event must have it."""
        inner = (*self.fields.values(), *self.elements.values())
        return any(leaf.required for leaf in self.leaves) or any(node.required for node in inner)


class _Element(NamedTuple):
    """Elements of lists, decoded: of the rows of `base`, at `attribute`, the one at `place`."""

    base: int
    attribute: str
    place: int
    decode: Callable[[bytes], Any]
    where: str


class Shape:
    """How rows are decoded, and where in them each path's value lies."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        root = _Node()
        for leaf in leaves:
            _place(root, parts(leaf.path), leaf)
        self._elements: list[_Element] = []
        self._at: dict[str, tuple[int, str | None]] = {}
        self.row: type[Any] = self._struct(root, (), 0, "")

    def values(self, rows: Sequence[Any]) -> "Values":
        """The rows' values."""
        bases: list[Sequence[Any]] = [rows]
        for element in self._elements:
            lists = _gathered(bases[element.base], element.attribute)
            bases.append([_decoded(element, found) for found in lists])
        return Values(bases, self._at)

    def _struct(self, node: _Node, path: Parts, base: int, prefix: str) -> type[Any]:
        """The type of an object. prefix: the attributes that lead to it from the rows of `base`."""
        fields: list[Any] = []
        names: dict[str, str] = {}
        for number, (name, inner) in enumerate(node.fields.items()):
            attribute = f"f{number}"
            names[attribute] = name
            kind, default = self._kind(inner, (*path, name), base, prefix + attribute)
            fields.append((attribute, kind) if inner.required else (attribute, kind | None, default))
        return msgspec.defstruct("Event", fields, rename=names, kw_only=True, frozen=True, gc=False)

    def _kind(self, node: _Node, path: Parts, base: int, attribute: str) -> tuple[Any, Any]:
        """The type of what lies at `attribute`, and its value where it is absent."""
        if node.leaves:
            for leaf in node.leaves:
                self._at[leaf.path] = base, attribute
            return _joined(node.leaves), None
        if node.elements:
            for index, inner in node.elements.items():
                self._element(inner, (*path, index), base, attribute)
            return list[msgspec.Raw], None
        struct = self._struct(node, path, base, f"{attribute}.")
        # an absent object reads as one whose fields are absent, so that values are gathered without a look at each
        return struct, None if node.required else struct()

    def _element(self, node: _Node, path: Parts, base: int, attribute: str) -> None:
        number, index = len(self._elements) + 1, path[-1]
        assert isinstance(index, int)
        self._elements.append(_Element(base, attribute, index, bytes, shown(path)))  # its place is what others refer to
        if node.leaves:
            kind = _joined(node.leaves)
            self._at |= {leaf.path: (number, None) for leaf in node.leaves}
        else:
            kind = self._struct(node, path, number, "")
        decode = codec.native_decoder(kind if node.required else kind | None)
        self._elements[number - 1] = self._elements[number - 1]._replace(decode=decode)


class Values:
    """The values of some rows, by path."""

    def __init__(self, bases: Sequence[Sequence[Any]], at: dict[str, tuple[int, str | None]]) -> None:
        self._bases, self._at = bases, at
        self._turned: dict[tuple[int, str], list[tuple[Any, ...]]] = {}

    def __len__(self) -> int:
        return len(self._bases[0])

    def take(self, rows: Sequence[Any], places: Sequence[int]) -> "Values":
        """Those of some of the rows."""
        return Values([rows, *([base[place] for place in places] for base in self._bases[1:])], self._at)

    def __getitem__(self, path: str) -> list[Any]:
        base, attribute = self._at[path]
        if attribute is None:
            return list(self._bases[base])
        column = self._column(base, attribute)
        return _gathered(self._bases[base], attribute) if column is None else list(column)

    def _column(self, base: int, attribute: str) -> Sequence[Any] | None:
        """What `_gathered` finds, by turning all fields of an object into columns at once: a quarter of the time for each.

        None where an object is null, or there are no rows.
        """
        within, _, name = attribute.rpartition(".")
        columns = self._turned.get((base, within))
        if columns is None:
            objects = self._column(base, within) if within else self._bases[base]
            try:
                columns = list(zip(*map(astuple, objects or ()), strict=True))
            except TypeError:  # an object that is null
                columns = []
            self._turned[base, within] = columns
        return columns[int(name[1:])] if columns else None


def _place(root: _Node, found: Parts, leaf: Leaf) -> None:
    node = root
    for part in found:
        inner: dict[Any, _Node] = node.elements if isinstance(part, int) else node.fields
        node = inner.setdefault(part, _Node())
    node.leaves.append(leaf)


def _joined(leaves: Sequence[Leaf]) -> Any:
    """The type that all agree on who read a value; what is only compared takes any. Raises ValueError."""
    kinds = [leaf.kind for leaf in leaves if leaf.kind is not COMPARED]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError(f"{leaves[0].path} is read by two fields in two ways; read it once")
    return kinds[0] if kinds else COMPARED


def _gathered(rows: Sequence[Any], attribute: str) -> list[Any]:
    try:
        return list(map(attrgetter(attribute), rows))
    except AttributeError:  # an object that is null
        return [_reached(row, attribute) for row in rows]


def _reached(row: Any, attribute: str) -> Any:
    for name in attribute.split("."):
        if row is None:
            return None
        row = getattr(row, name)
    return row


def _decoded(element: _Element, found: Sequence[msgspec.Raw] | None) -> Any:
    if found is None or len(found) <= element.place:
        return None
    try:
        return element.decode(bytes(found[element.place]))
    except codec.SchemaError as error:
        words, _, inner = str(error).partition(" at $")
        raise codec.SchemaError(f"{words} at $.{element.where}{inner}") from None
