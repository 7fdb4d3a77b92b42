"""Samples of records for the tests of inference."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from models.discovery.sample import Record, Sample

START = datetime(2026, 1, 3, tzinfo=UTC)


def sample(records: Sequence[Any], name: str = "payments.jsonl") -> Sample:
    """Of a file."""
    return Sample(name, [Record(json.dumps(record).encode(), f"line {i + 1}") for i, record in enumerate(records)])


def topic(
    records: Sequence[Any], keys: Sequence[bytes | None], partitions: Sequence[int], number: int, name: str = "payments"
) -> Sample:
    """Of a topic."""
    rows = zip(records, keys, partitions, strict=True)
    return Sample(
        name, [Record(json.dumps(record).encode(), "", key, partition) for record, key, partition in rows], number
    )


def event(i: int, **changes: Any) -> dict[str, Any]:
    """The i-th plain record: one subject, one time, one amount in main units."""
    chance = random.Random(i)
    return {
        "id": f"e-{i:06d}",
        "time": (START + timedelta(seconds=97 * i)).isoformat(),
        "card": f"k1:{chance.randrange(60):04x}",
        "merchant": f"shop-{chance.randrange(40)}",
        "amount": round(chance.uniform(1, 200), 2),
        **changes,
    }


def events(number: int = 300, **changes: Any) -> list[dict[str, Any]]:
    """Plain records; a change may be a function of the record's number."""
    return [event(i, **{name: c(i) if callable(c) else c for name, c in changes.items()}) for i in range(number)]
