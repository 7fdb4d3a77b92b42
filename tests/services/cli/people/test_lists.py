"""`assay lists`: what is written, what is refused, and every way back."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.files.options import ReadOptions
from schemas.topics import LISTS
from services.cli.people.list_file import WRITES_ONCE, read_entries
from services.errors import AssayError
from services.scorer.lists import ListTable
from tests.services.cli.test_app import run_main
from tests.services.harness import Stream

DEFAULTS = {"list_name": "blocked", "field": "device", "purpose": "deny", "by": "ana", "written_at_ms": 1}
DAY_MS = 86_400_000


def csv(path: Path, text: str) -> Path:
    """A file of entries."""
    path.write_text(text)
    return path


def test_a_row_that_can_be_meant_in_two_ways_is_left_out_and_asked_about(tmp_path: Path) -> None:
    """With reason and line; the others are read, in their order."""
    path = csv(
        tmp_path / "list.csv",
        "DEV,kind,UNTIL\n"
        "d-1,,\n"
        "10.0.0.0/8,,\n"
        "10.0.0.0/8,network,\n"
        "1..5,,\n"
        "2001:db8::1,,\n"
        "4111111111111111,,\n"
        ",,\n"
        "d-2,prefix,\n"
        "d-1,,2026-01-01T00:00:00Z\n"
        "d-1,,\n",
    )
    entries, refused, _ = read_entries(path, ["value=DEV", "expires_at_ms=UNTIL"], DEFAULTS, None, ReadOptions())
    assert [(one.value, one.kind) for one in entries] == [("d-1", "value"), ("10.0.0.0/8", "network")]
    assert [line for _, line in refused] == [3, 5, 6, 7, 8, 9, 10]
    words = [why for why, _ in refused]
    assert "say --as network or --as value" in words[0]
    assert "say --as range or --as value" in words[1]
    assert "card number" in words[3]
    assert words[-1] == WRITES_ONCE


@pytest.mark.parametrize(
    ("text", "pairs", "given", "sentence"),
    [
        ("DEVICE\nd-1\n", [], DEFAULTS, "--map value=COLUMN"),
        ("value\nd-1\n", [], {**DEFAULTS, "field": None}, "--field device"),
        ("value\nd-1\n", ["what=value"], DEFAULTS, "is not FIELD=COLUMN"),
    ],
)
def test_a_file_that_does_not_say_what_is_needed_is_a_sentence(
    tmp_path: Path, text: str, pairs: list[str], given: dict[str, Any], sentence: str
) -> None:
    """It says what to do."""
    given = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(AssayError, match=sentence):
        read_entries(csv(tmp_path / "list.csv", text), pairs, given, None, ReadOptions())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "blocked", "d-1"), "is not FIELD=VALUE"),
        (("add", "blocked", "ip=10.0.0.0/8"), "--as network or --as value"),
        (("add", "blocked", "ip=10.0.0.1/8", "--as", "network"), "beyond its prefix"),
        (("add", "blocked", "card_id=4111111111111111"), "pseudonym"),
        (("add", "Blocked", "device=d-1"), "list_name"),
        (("add", "blocked", "device=d-1", "--expires", "2026-01-01", "--for-days", "1"), "leave one out"),
        (("remove", "blocked"), "FIELD=VALUE, or --batch"),
        (("show", "--find", "device=d-1"), "--find needs the list"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    """Status 2; no broker is asked."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", "localhost:1")
    assert run_main(monkeypatch, "lists", *arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "4111111111111111" not in said
    assert said.count("\n") == 1


class Desk:
    """`assay lists` against a real topic, and the table that a scorer would have of it."""

    def __init__(self, stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._stream, self._patch, self._capsys = stream, monkeypatch, capsys

    async def __call__(self, *arguments: str) -> Any:
        """What the command prints as JSON."""
        status = await asyncio.to_thread(run_main, self._patch, "lists", *arguments, "--json")
        out, err = self._capsys.readouterr()
        assert status == 0, err
        return json.loads(out)

    async def on(self, *values: str, at_ms: int = 1) -> list[bool]:
        """Which devices are on `blocked`."""
        table = ListTable()
        table.apply(await self._stream.read(LISTS.name))
        return table.lists.contains("blocked", "device", values, np.full(len(values), at_ms)).tolist()


async def test_every_change_has_a_way_back_that_restores_what_was_there(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Add, import over it, take the import back, take the taking back back; export and show what there is."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    desk = Desk(stream, monkeypatch, capsys)
    await desk(
        "add", "blocked", "device=d-1", "device=d-2", "--expires", "2026-01-01", "--reason", "mule", "--by", "ana"
    )
    expiry_ms = 1_767_225_600_000
    assert await desk.on("d-1", "d-3", at_ms=expiry_ms - 1) == [True, False]
    assert await desk.on("d-1", "d-3", at_ms=expiry_ms) == [False, False]

    path = csv(tmp_path / "list.csv", "value\nd-1\nd-3\n")
    imported = await desk("import", "blocked", str(path), "--field", "device", "--purpose", "watch")
    assert (imported["written"], imported["unchanged"]) == (2, 0)
    again = await desk("import", "blocked", str(path), "--field", "device")
    assert (again["written"], again["unchanged"]) == (0, 2)
    assert await desk.on("d-1", "d-2", "d-3", at_ms=expiry_ms) == [True, False, True]

    undone = await desk("remove", "blocked", "--batch", imported["batch"])
    assert (undone["removed"], undone["restored"]) == (1, 1)
    assert await desk.on("d-1", "d-3", at_ms=expiry_ms - 1) == [True, False]
    assert await desk.on("d-1", "d-3", at_ms=expiry_ms) == [False, False]
    await desk("remove", "blocked", "--batch", undone["batch"])
    assert await desk.on("d-1", "d-3", at_ms=expiry_ms) == [True, True]

    await desk("remove", "blocked", "device=d-2", "--reason", "returned", "--by", "ben")
    history = await desk("show", "blocked", "--find", "device=d-2")
    assert [(one["by"], one["reason"], one["removed"]) for one in history] == [
        ("ana", "mule", False),
        ("ben", "returned", True),
    ]
    assert (await desk("show"))[0] == {
        "list": "blocked",
        "purpose": "watch",
        "field": "device",
        "kind": "value",
        "entries": 2,
    }
    await desk("add", "blocked", "ip=203.0.113.0/24", "--as", "network")
    await desk("add", "blocked", "amount=5000..", "--as", "range")
    asked = ("device=d-3", "ip=203.0.113.9", "amount=7000", "amount=70")
    assert await asyncio.to_thread(run_main, monkeypatch, "lists", "check", "blocked", *asked, "--json") == 1
    assert list(json.loads(capsys.readouterr().out)["on"].values()) == [True, True, True, False]
    await desk("check", "blocked", *asked[:3])
    await desk("remove", "blocked", "ip=203.0.113.0/24", "amount=5000..")
    await desk("export", "blocked", str(tmp_path / "out.csv"))
    assert sorted(pl.read_csv(tmp_path / "out.csv")["value"].to_list()) == ["d-1", "d-3"]
    kept = await desk("import", "kept", str(tmp_path / "out.csv"))
    assert kept["written"] == 2

    assert await asyncio.to_thread(run_main, monkeypatch, "lists", "remove", "blocked", "device=d-9") == 2
    assert re.search(r"no entry device=d-9: .*assay lists show blocked", capsys.readouterr().err)
    assert await asyncio.to_thread(run_main, monkeypatch, "lists", "show", "blocked") == 0
    assert "d-3" in capsys.readouterr().out
