"""Labelled payments whose frauds lie in some values of a category: common, rare, never seen in training, and absent ones."""

import json
from pathlib import Path

import numpy as np

from models.sources.spec_file import parse_source
from schemas.source_spec import SourceSpec

SOURCE = """
version: 1
topic: shop
event:
  id: {path: id}
  time: {path: at, unit: ms}
  subject: {path: card}
  counterparty: {path: shop}
  amount: {path: amount}
attributes:
  kind: {type: category, path: kind}
  secret: {type: category, path: kind, personal: true}
"""
DAY_MS, START_DAY = 86_400_000, 20_000
BAD = ("kind-1", "kind-7", "kind-12")
RARE, NEW = "rare-", "new"


def source() -> SourceSpec:
    """What the payments are."""
    return parse_source(SOURCE)


def write(path: Path, *, seed: int = 1, days: int = 30, per_day: int = 300, kinds: int = 20) -> None:
    """A file of payments in order of time. `NEW` comes in the last seven days only, a `RARE` value about once."""
    random = np.random.default_rng(seed)
    lines = []
    for day in range(days):
        for second in np.sort(random.integers(0, 86_400, per_day)).tolist():
            kind: str | None = f"kind-{min(int(random.exponential(5)), kinds - 1)}"
            draw = random.random()
            if draw < 0.02:
                kind = None
            elif draw < 0.04:
                kind = f"{RARE}{random.integers(0, 10_000)}"
            elif day >= days - 7 and draw < 0.06:
                kind = NEW
            night = second < 25_000
            risk = 0.25 if kind in BAD and night else 0.03 if kind in BAD or kind is None else 0.004
            lines.append(
                {
                    "id": f"p-{len(lines)}",
                    "at": (START_DAY + day) * DAY_MS + second * 1000,
                    "card": f"c-{random.integers(0, 200)}",
                    "shop": f"s-{random.integers(0, 50)}",
                    "amount": round(float(random.lognormal(3, 1)), 2),
                    "kind": kind,
                    "is_fraud": bool(random.random() < risk),
                }
            )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
