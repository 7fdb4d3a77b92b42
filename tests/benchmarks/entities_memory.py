"""What an entity of very many ids takes: `assay bench entities --ids 10000000`.

The state of one entity on every partition, in one process and without Kafka: each id pays once, as far as there is room; then
a tenth as many ids come for which there is none, and push out those that are longest gone.
"""

import time
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from models.features.columns import TransactionColumns
from models.features.entities import EntityFold
from models.features.explain import entity_table
from models.features.fold import warm
from models.features.layout import number_fields
from models.features.spec_file import load_spec
from tests.services.harness import BASE_TIME_MS, ROOT

ENTITY, PARTITIONS, BATCH = "device", 4, 2_000
SPEC = ROOT / "deploy/features/rings.yaml"


def measured(ids: int) -> dict[str, Any]:
    """ids: in all, spread over the partitions."""
    spec, room = load_spec(SPEC), ids // PARTITIONS
    (said,) = (row for row in entity_table(spec, PARTITIONS, room) if row.entity == ENTITY)
    folds = [EntityFold(spec, ENTITY, room) for _ in range(PARTITIONS)]
    warm(folds[0].spec)
    _pay(EntityFold(spec, ENTITY, BATCH), 0, BATCH)
    process, empty = psutil.Process(), psutil.Process().memory_info().rss
    with_room_s = _timed(folds, 0, room)
    full = process.memory_info().rss
    without_s = _timed(folds, room, room // 10)
    after = process.memory_info().rss
    if any(fold.ids > room for fold in folds):
        raise SystemExit("more ids are kept than there is room for")
    return {
        "ids": sum(fold.ids for fold in folds),
        "partitions": PARTITIONS,
        "memory_mb": round((full - empty) / 1e6),
        "said_mb": said.memory_mb_max,
        "bytes_per_id": round((full - empty) / max(1, PARTITIONS * room)),
        "further_ids_mb": round((after - full) / 1e6),
        "with_room_us": round(with_room_s / (PARTITIONS * room) * 1e6, 2),
        "without_room_us": round(without_s / (PARTITIONS * (room // 10)) * 1e6, 2),
        "record_as": "entities-memory",
    }


def _timed(folds: list[EntityFold], first: int, count: int) -> float:
    """Processor time, s, in which so many new ids pay on each partition."""
    started_s = time.process_time()
    for start in range(first, first + count, BATCH):
        for fold in folds:
            _pay(fold, start, min(BATCH, first + count - start))
    return time.process_time() - started_s


def _pay(fold: EntityFold, start: int, count: int) -> None:
    ids = [f"device-{number:09d}" for number in range(start, start + count)]
    times_ms = BASE_TIME_MS + np.arange(start, start + count, dtype=np.int64)
    columns = TransactionColumns(
        dict.fromkeys({*fold.fields, "card_id"}, ids),
        times_ms,
        np.full(count, 25.0),
        numbers={name: np.full(count, 1.0) for name in number_fields(fold.spec)},
    )
    fold.values(columns, ids)


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table(title=f"{result['ids']:,} devices on {result['partitions']} partitions, in one process")
    for name in ("memory_mb", "said_mb", "bytes_per_id", "further_ids_mb", "with_room_us", "without_room_us"):
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(*(f"{result[name]:,}" for name in ("memory_mb", "said_mb", "bytes_per_id", "further_ids_mb")),
                  *(f"{result[name]:.2f}" for name in ("with_room_us", "without_room_us")))  # fmt: skip
    Console().print(table)
