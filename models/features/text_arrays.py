"""Strings in arrays, as snapshots hold them: the UTF-8 of all, and where each ends."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def pack(texts: Iterable[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """uint8[bytes of all] and int64[n], the end of each."""
    texts = list(texts)
    whole = "".join(texts)
    parts: Sequence[str | bytes] = texts if whole.isascii() else [text.encode() for text in texts]
    ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
    return np.frombuffer(whole.encode(), np.uint8), ends


def unpack(data: NDArray[np.generic], ends: NDArray[np.generic]) -> list[str]:
    """The strings. Raises ValueError where the arrays are none."""
    text, stops = data.tobytes(), ends.tolist()
    if (stops[-1] if stops else 0) != len(text):
        raise ValueError("the text does not end where it should")
    return [text[start:stop].decode() for start, stop in zip([0, *stops[:-1]], stops, strict=True)] if stops else []
