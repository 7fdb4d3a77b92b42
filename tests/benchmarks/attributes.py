"""What attributes cost: decoding and folding an event with 30 of them, and with each kind of history, beside today's default.

`python -m tests.benchmarks.attributes [--json] [--record] [--events N] [--rounds N]`

Batches of 256 events of 5,000 cards, processor time of one core.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from models.features.fold import fold, warm
from models.features.layout import number_fields, stream_fields
from models.features.spec_file import load_spec, parse_spec
from models.features.state import FeatureState
from models.sources.parser import EventParser
from models.sources.spec_file import default_source, parse_source
from schemas.feature_spec import FeatureSpec
from schemas.source_spec import SourceSpec
from tests.benchmarks import command
from tests.benchmarks.record import surroundings

DEFAULT = load_spec(Path(__file__).parents[2] / "deploy" / "features" / "fraud.yaml")
BATCH = 256
CARDS = 5_000
NS = 1e9

ATTRIBUTES = """
attributes:
  device: {type: id, path: device}
  ip: {type: ip, path: ip}
  entry: {type: category, path: entry}
  approved: {type: flag, path: approved}
""" + "\n".join(
    [f"  n{number}: {{type: number, path: n{number}, at_least: 0}}" for number in range(14)]
    + [f"  c{number}: {{type: category, path: c{number}}}" for number in range(8)]
    + [f"  f{number}: {{type: flag, path: f{number}}}" for number in range(4)]
)
"""Thirty."""

PLAIN = [
    *(f"{{name: n{n}, kind: number, attribute: n{n}, transform: log1p, at_least: 0, missing: 0}}" for n in range(14)),
    *(
        f"{{name: c{n}, kind: category, attribute: c{n}, values: {{a: {{number: 1}}}}, other: {{number: 2}}, missing: 0}}"
        for n in range(8)
    ),
    *(f"{{name: f{n}, kind: flag, attribute: f{n}, missing: 0}}" for n in range(4)),
]
WINDOWS = [
    "{name: declined, kind: window, key: card, aggregation: count, window: 1h, where: {path: approved, equals: false}}",
    "{name: cash, kind: window, key: card, aggregation: sum, window: 24h, where: {path: entry, equals: a}}",
    "{name: mean_n0, kind: window, key: card, aggregation: mean, window: 24h, field: n0}",
]
NOVELTY = [
    "{name: new_device, kind: novelty, key: card, of: device, part: first, window: 30d, missing: 0}",
    "{name: devices, kind: novelty, key: card, of: device, part: count, window: 24h}",
    "{name: since_terminal, kind: novelty, key: card, of: terminal_id, part: since}",
]


def specs() -> dict[str, FeatureSpec]:
    """The default spec, and the default spec with more."""
    text = (Path(__file__).parents[2] / "deploy" / "features" / "fraud.yaml").read_text(encoding="utf-8").rstrip()
    more = {"attributes": PLAIN, "windows": WINDOWS, "novelty": NOVELTY, "all": [*PLAIN, *WINDOWS, *NOVELTY]}
    found = {name: parse_spec("\n  - ".join([text, *features]) + "\n") for name, features in more.items()}
    return {"default": DEFAULT, **found}


def records(count: int) -> list[bytes]:
    """Events with all 30 attributes, in order of time."""
    draw = np.random.default_rng(7)
    cards, words = draw.integers(0, CARDS, count).tolist(), draw.integers(0, 4, (count, 10)).tolist()
    numbers, flags = draw.gamma(2, 20, (count, 15)).round(2).tolist(), draw.integers(0, 2, (count, 5)).tolist()
    made = []
    for row in range(count):
        own = {
            "transaction_id": f"t-{row}",
            "event_time_ms": 1_767_225_600_000 + 40 * row,
            "card_id": f"card-{cards[row]:08d}",
            "terminal_id": f"terminal-{cards[row] * 7 + words[row][0]}",
            "amount": numbers[row][14],
        }
        further: dict[str, object] = {"device": f"d-{cards[row]}-{words[row][8]}", "approved": bool(flags[row][4])}
        further["ip"] = f"10.0.{words[row][9]}.7"
        further |= {f"n{n}": numbers[row][n] for n in range(14)} | {f"f{n}": bool(flags[row][n]) for n in range(4)}
        further |= {f"c{n}": "abcd"[words[row][n]] for n in range(8)} | {"entry": "abcd"[words[row][8]]}
        made.append(json.dumps(own | further).encode())
    return made


def source() -> SourceSpec:
    """The default source, with the attributes."""
    path = Path(__file__).parents[2] / "models" / "sources" / "transactions.yaml"
    return parse_source(path.read_text(encoding="utf-8") + ATTRIBUTES)


def cost(spec: FeatureSpec, of: SourceSpec, payloads: list[bytes]) -> tuple[float, float]:
    """ns an event of decoding, and of folding."""
    parser, state = EventParser(of), FeatureState(spec, 2 * CARDS)
    fields, numbers = stream_fields(spec), number_fields(spec)
    decode_s = fold_s = 0.0
    for start in range(0, len(payloads), BATCH):
        begun_s = time.process_time()
        events = parser.batch(payloads[start : start + BATCH])
        assert events is not None
        columns = events.columns(fields, None, numbers)
        parsed_s = time.process_time()
        fold(state, columns)
        decode_s, fold_s = decode_s + parsed_s - begun_s, fold_s + time.process_time() - parsed_s
    return decode_s / len(payloads) * NS, fold_s / len(payloads) * NS


def measure(events: int, rounds: int) -> dict[str, Any]:
    """All specs in turn, `rounds` times."""
    payloads, found = records(events), specs()
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
    for spec in found.values():
        warm(spec)
    for _ in range(rounds):
        for name, spec in found.items():
            figures[name].append(cost(spec, default_source() if name == "default" else source(), payloads))
    result: dict[str, Any] = {}
    for name, values in figures.items():
        result[f"{name}_decode_ns"] = round(statistics.median(decode for decode, _ in values))
        result[f"{name}_fold_ns"] = round(statistics.median(folded for _, folded in values))
    return {**result, "events": events, **surroundings(("numba", "numpy", "msgspec"))}


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table("features", "decode", "fold", title="ns an event, 30 attributes in the record")
    for name in specs():
        table.add_row(name, f"{result[f'{name}_decode_ns']:,}", f"{result[f'{name}_fold_ns']:,}")
    Console().print(table)


if __name__ == "__main__":
    command.run("attributes", __doc__, measure, show, events=100_000, rounds=3)
