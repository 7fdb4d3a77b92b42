"""Ranges of numbers and prefixes of addresses, with an expiry each: which values lie in one that has not expired, at once.

The ends of all spans cut the line into pieces; each piece keeps the latest expiry of the spans that cover it, so a value is one
binary search. The pieces are made again when they are next asked after a change.
"""

import ipaddress
import math
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.lists.texts import GONE_MS, Times
from schemas.lists import range_of

MAPPED = bytes(10) + b"\xff\xff"
"""How an IPv6 address begins that holds one of IPv4."""


class Spans:
    """Spans between ends of one kind, both included: numbers, or IPv6 addresses as bytes."""

    def __init__(self, dtype: str) -> None:
        """dtype: of the ends, as numpy has it."""
        self.dtype = dtype
        self._spans: dict[tuple[Any, Any], int] = {}
        self._stale = False
        self._starts: NDArray[Any] = np.zeros(0, dtype)
        self._until_ms: Times = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._spans)

    def put(self, first: Any, last: Any, expires_ms: int) -> None:
        """Add a span, or change its expiry; GONE_MS takes it back."""
        if expires_ms == GONE_MS:
            self._spans.pop((first, last), None)
        else:
            self._spans[first, last] = expires_ms
        self._stale = True

    def until_ms(self, values: NDArray[Any]) -> Times:
        """int64[n]: the latest expiry of the spans that hold each value; GONE_MS where none does. values: not NaN."""
        if self._stale:
            self._cut()
        if not len(self._starts):
            return np.full(len(values), GONE_MS, np.int64)
        return self._until_ms[self._starts.searchsorted(values, side="right")]

    def _cut(self) -> None:
        """Pieces begin at each first value, and behind each last one: there are two for every end."""
        self._stale = False
        first = np.array([first for first, _ in self._spans], self.dtype)
        last = np.array([last for _, last in self._spans], self.dtype)
        expires_ms = np.fromiter(self._spans.values(), np.int64, len(self._spans))
        behind = _behind(last)
        self._starts = np.unique(np.concatenate([first, behind]))
        order = np.argsort(-expires_ms, kind="stable")
        begin = self._starts.searchsorted(first)[order] + 1  # the piece before the first start is 0
        # the greatest value has none behind it: that span ends with the line
        end = np.where(behind <= last, len(self._starts), self._starts.searchsorted(behind))[order] + 1
        self._until_ms = np.full(len(self._starts) + 1, GONE_MS, np.int64)
        _paint(begin.astype(np.int64), end.astype(np.int64), expires_ms[order], self._until_ms)


def _behind(last: NDArray[Any]) -> NDArray[Any]:
    """The next value behind each; not a greater one where there is none."""
    behind: NDArray[Any]
    if last.dtype.kind == "f":
        behind = np.nextafter(last, np.inf)
        return behind
    if last.dtype.kind == "i":
        return last + 1
    high, low = last.view(">u8").reshape(-1, 2).astype(np.uint64).T
    low = low + np.uint64(1)
    high = high + (low == 0)
    return np.stack([high, low], axis=1).astype(">u8").view("S16").ravel()


@compiled
def _paint(begin, end, expires_ms, until_ms):  # type: ignore[no-untyped-def]
    """Each piece gets the expiry of the first span that covers it; spans come latest expiry first."""
    following = np.arange(until_ms.shape[0] + 1)
    for row in range(begin.shape[0]):
        piece = begin[row]
        while True:
            root = piece
            while following[root] != root:
                root = following[root]
            while following[piece] != root and piece != root:
                piece, following[piece] = following[piece], root
            piece = root
            if piece >= end[row]:
                break
            until_ms[piece] = expires_ms[row]
            following[piece] = piece + 1


def warm() -> None:
    """Compile what is compiled, before the first change does."""
    spans = Spans("f8")
    spans.put(0.0, 1.0, 1)
    spans.until_ms(np.zeros(1))


class NumberRanges:
    """Ranges of numbers, in float64."""

    def __init__(self) -> None:
        self._spans = Spans("f8")

    def __len__(self) -> int:
        return len(self._spans)

    def put(self, text: str, expires_ms: int) -> None:
        """A range as 1..5. Raises ValueError."""
        self._spans.put(*range_of(text), expires_ms)

    def contains(self, numbers: NDArray[np.float64], times_ms: Times) -> NDArray[np.bool_]:
        """bool[n]; NaN is in no range."""
        until_ms = self._spans.until_ms(np.where(np.isnan(numbers), math.inf, numbers))
        return (until_ms > times_ms) & ~np.isnan(numbers)


class Networks:
    """Prefixes of addresses, of both versions of IP."""

    def __init__(self) -> None:
        self._v4, self._v6 = Spans("i8"), Spans("S16")

    def __len__(self) -> int:
        return len(self._v4) + len(self._v6)

    def put(self, text: str, expires_ms: int) -> None:
        """A prefix as 10.0.0.0/8. Raises ValueError."""
        network = ipaddress.ip_network(text)
        first, last = network[0].packed, network[-1].packed
        if first.startswith(MAPPED) and last.startswith(MAPPED):
            first, last = first[12:], last[12:]
        if len(first) == 4:
            self._v4.put(int.from_bytes(first), int.from_bytes(last), expires_ms)
        else:
            self._v6.put(first, last, expires_ms)

    def contains(self, texts: Sequence[str], times_ms: Times) -> NDArray[np.bool_]:
        """bool[n]; what is no address is in no prefix."""
        found = np.zeros(len(texts), np.bool_)
        packed = list(map(_packed, texts))
        for spans, width, form in ((self._v4, 4, ">u4"), (self._v6, 16, "S16")):
            if len(spans):
                rows = [row for row, address in enumerate(packed) if len(address) == width]
                values = np.frombuffer(b"".join(packed[row] for row in rows), form)
                found[rows] = spans.until_ms(values.astype(spans.dtype)) > times_ms[rows]
        return found


def _packed(text: str) -> bytes:
    """An address as bytes; none where it is no address."""
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        address = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return b""
    return address[12:] if address.startswith(MAPPED) else address
