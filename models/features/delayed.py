"""Counts behind a label delay: where a window of them ends, and the value of a feature that is made of them.

For the terminals' profiles (`profiles`), which every scorer has as a table, and for the labels of any entity (`labelled`).
"""

import math

from models.compiled import compiled


def back_ms(label_delay_ms: int, bucket_ms: int) -> int:
    """How long before a payment lies the last moment that its window holds: in the bucket of it, the window ends."""
    return label_delay_ms + bucket_ms


@compiled
def value(part, whole, is_share, is_log1p):  # type: ignore[no-untyped-def]
    """float64: the counted part; or its share of the whole, between 0 and 1, and 0 where there is none."""
    found = 1.0 * part
    if is_share:
        found = min(max(found / whole, 0.0), 1.0) if whole > 0 else 0.0
    return math.log1p(found) if is_log1p else found


@compiled
def fill(parts, wholes, is_share, is_log1p, column):  # type: ignore[no-untyped-def]
    """Values of n payments. parts, wholes: float32[n], whole numbers. column: float32[n], written."""
    for row in range(parts.shape[0]):
        column[row] = value(parts[row], wholes[row], is_share, is_log1p)
