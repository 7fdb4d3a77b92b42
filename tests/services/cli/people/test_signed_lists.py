"""`assay lists` and `assay approvals` where persons have to sign entries, on the real broker."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import codec
from schemas.lists import ListEntry, entry_key
from schemas.topics import APPROVALS, LISTS
from services.approvals import entering, new_request
from tests.services.cli.test_app import run_main
from tests.services.harness import Stream
from tests.services.signing import people

Said = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def said(stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    """A command of somebody, who signs with their key: its status, and what it said."""
    everyone = people(tmp_path)
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "1")
    monkeypatch.setenv("ASSAY_PERSONS_FILE", str(everyone.file))

    async def run(by: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("ASSAY_PERSONS_KEY_FILE", str(everyone.key_file(by)))
        status = await asyncio.to_thread(run_main, monkeypatch, *arguments)
        found = capsys.readouterr()
        return status, " ".join((found.out + found.err).split())

    return run


async def on(said: Said, value: str) -> bool:
    """Whether it is on `blocked`, as a scorer finds it."""
    return (await said("ana", "lists", "check", "blocked", f"device={value}"))[0] == 0


async def forge(stream: Stream, *entries: ListEntry) -> None:
    """Somebody who may write the topic, and has no key."""
    await stream.send([codec.write(one) for one in entries], [entry_key(one) for one in entries], LISTS.name)


async def test_a_lists_entries_are_signed_forged_ones_left_out_and_every_way_back_works(
    stream: Stream, said: Said
) -> None:
    """Add, import, remove, and remove what a command wrote; what no one signed neither adds nor takes off."""
    assert (await said("ana", "lists", "add", "blocked", "device=d-1"))[0] == 2
    status, words = await said("lena", "lists", "add", "blocked", "device=d-1", "device=d-2", "--json")
    batch = json.loads(words)["batch"]
    assert (status, await on(said, "d-1"), await on(said, "d-2")) == (0, True, True)
    fields: dict[str, Any] = {"list_name": "blocked", "field": "device", "kind": "value", "by": "lena"}
    await forge(stream, ListEntry(value="d-3", **fields), ListEntry(value="d-1", removed=True, **fields))
    status, words = await said("lena", "lists", "check", "blocked", "device=d-3")
    assert (status, await on(said, "d-1")) == (1, True)
    status, words = await said("lena", "lists", "show", "blocked")
    assert words.count("is left out: It carries no signature of a person") == 2
    assert (await said("rosa", "lists", "remove", "blocked", "device=d-2", "--reason", "returned"))[0] == 0
    assert not await on(said, "d-2")
    assert (await said("rosa", "lists", "remove", "blocked", "--batch", batch))[0] == 0
    assert not await on(said, "d-1")
    file = stream.directory / "devices.csv"
    file.write_text("value\n" + "".join(f"e-{number}\n" for number in range(1_200)))
    assert (await said("aron", "lists", "import", "blocked", str(file), "--field", "device"))[0] == 0
    assert await on(said, "e-1199")


async def test_the_console_prepares_a_change_and_the_person_signs_it(
    stream: Stream, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who asked; with two needed another approves; what the list says since makes it too late."""

    async def prepared(value: str) -> str:
        one = ListEntry(
            list_name="blocked", field="device", kind="value", value=value, by="lena", written_at_ms=1, reason="called"
        )
        made = new_request("lena", "list", 1.0, [one], **entering([one]))
        await stream.send([codec.write(made)], [made.request_id.encode()], APPROVALS.name)
        return made.request_id

    request = await prepared("d-1")
    assert "d-1" in (await said("lena", "approvals", "show", request))[1]
    assert "is for others" in (await said("rosa", "approvals", "sign", request))[1]
    assert not await on(said, "d-1")
    status, words = await said("lena", "approvals", "sign", request)
    assert (status, "written to the list blocked" in words, await on(said, "d-1")) == (0, True, True)
    late = await prepared("d-1")
    status, words = await said("lena", "approvals", "sign", late)
    assert (status, "says something newer" in words) == (2, True)
    monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "2")
    request = await prepared("d-2")
    status, words = await said("rosa", "approvals", "approve", request)
    assert (status, "it lacks 1 signature: lena" in words, await on(said, "d-2")) == (0, True, False)
    assert (await said("lena", "approvals", "sign", request))[0] == 0
    assert await on(said, "d-2")
    assert '"signed_by":["lena","rosa"]' in "".join(
        (await said("lena", "approvals", "list", "--all", "--json"))[1].split()
    )
