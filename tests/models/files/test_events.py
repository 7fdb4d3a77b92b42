"""A file and a stream of the same events give the same columns, bit for bit."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.files.events import read_events
from models.files.options import TableError
from models.sources.parser import EventParser
from models.sources.spec_file import parse_source
from tests.models.sources.test_parser import EVENT, NESTED

SOURCE = parse_source(NESTED)
COLUMNS = ("amount", "currency", "device", "ip", "price", "sku", "place.latitude", "opened", "trusted", "note")


def events() -> list[dict[str, Any]]:
    """Some events, later ones first; one is not selected, one is no event."""
    made = [
        EVENT
        | {
            "header": {"id": f"e-{i}", "at": f"2026-01-{9 - i:02d}T00:00:00.123+02:00"},
            "note": None,
            "is_fraud": i == 2,
        }
        for i in range(4)
    ]
    made[1] = made[1] | {"type": "REFUND", "device": None, "items": [{"price": 0.1}, {"sku": None}]}
    return [*made, EVENT | {"type": "BALANCE"}, EVENT | {"trusted": "maybe"}]


def streamed() -> Any:
    """The columns that the stream makes of those that are sound, in order of time."""
    parser = EventParser(SOURCE)
    payloads = [json.dumps(event).encode() for event in events()[3::-1]]
    found = parser.batch(payloads)
    assert found is not None
    return found


def flat(event: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A record as a row: columns named by their paths, everything as text."""
    row: dict[str, Any] = {}
    inner = enumerate(event) if isinstance(event, list) else event.items()
    for name, value in inner:
        path = f"{prefix}[{name}]" if isinstance(name, int) else f"{prefix}.{name}".lstrip(".")
        if isinstance(value, dict | list):
            row |= flat(value, path)
        elif value is not None:
            row[path] = str(value).lower() if isinstance(value, bool) else str(value)
    return row


def written(path: Path) -> Path:
    """The events in a file of that kind."""
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, events())) + "\n")
    elif path.suffix == ".parquet":
        nested = [event | {"items": event["items"][:2]} for event in events()]
        pl.DataFrame(nested, strict=False, infer_schema_length=None).write_parquet(path)
    else:
        pl.DataFrame([flat(event) for event in events()], infer_schema_length=None).write_csv(path)
    return path


@pytest.mark.parametrize("name", ["events.jsonl", "events.csv", "events.parquet"])
def test_a_file_gives_the_columns_of_the_stream(tmp_path: Path, name: str) -> None:
    """Nested records, or a table whose columns are named by paths; what is refused stands at the end, with its reason."""
    notes: list[str] = []
    frame = read_events(written(tmp_path / name), SOURCE, label="is_fraud", notes=notes)
    stream = streamed()
    good = frame.filter(pl.col("problem").is_null())
    assert good["transaction_id"].to_list() == stream.ids == ["e-3", "e-2", "e-1", "e-0"]
    assert good["event_time_ms"].to_list() == stream.time_ms.tolist()
    assert good["is_fraud"].to_list() == [False, True, False, False]
    for column in COLUMNS:
        expected = stream.column(column)
        values = expected if isinstance(expected, list) else expected.tolist()
        assert repr(good[column].to_list()) == repr(values), column
    (refused,) = frame.filter(pl.col("problem").is_not_null()).to_dicts()
    assert refused["problem"].startswith("Expected one of the words for yes and no at $.trusted")
    assert notes == ["not selected by the source spec: 1 rows"]


def test_a_column_that_the_spec_needs_is_asked_for(tmp_path: Path) -> None:
    """By the name of its path, with the nearest that there is."""
    path = tmp_path / "events.csv"
    path.write_text("header.id,header.at,card.tokn,amount.value\n1,2026-01-01T00:00:00Z,c,1\n")
    with pytest.raises(TableError, match=r"has no column card\.token, .*nearest is card\.tokn"):
        read_events(path, SOURCE)


def test_a_file_without_a_selected_event_is_refused(tmp_path: Path) -> None:
    """In a sentence."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"type": "OTHER"}\n')
    with pytest.raises(TableError, match="holds no event that the source spec selects"):
        read_events(path, SOURCE)
