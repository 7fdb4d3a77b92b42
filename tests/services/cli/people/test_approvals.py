"""`assay approvals` and the commands whose changes wait for a second person, on the real broker."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from schemas.topics import LISTS
from services.settings.persons import PersonsSettings
from services.trusted_persons import needs_second, step_rule
from tests.services.cli.test_app import run_main
from tests.services.harness import Stream

Said = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def said(stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """A command of somebody: its status, and what it said."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_PERSONS_FOUR_EYES", "lists")

    async def run(by: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("LOGNAME", by)
        status = await asyncio.to_thread(run_main, monkeypatch, *arguments)
        found = capsys.readouterr()
        return status, found.out + found.err

    return run


async def entries(stream: Stream) -> list[dict[str, Any]]:
    """What is on the topic of the lists."""
    return [json.loads(record.value) for record in await stream.read(LISTS.name)]


async def test_a_list_changes_once_another_person_approves_and_so_does_its_way_back(stream: Stream, said: Said) -> None:
    """Nothing before; never by who asked; a rejected request stays without effect."""
    status, words = await said("ana", "lists", "add", "stolen", "device=d-1", "--reason", "called")
    assert (status, "waits for a second person" in " ".join(words.split())) == (1, True)
    assert await entries(stream) == []
    (waiting,) = json.loads((await said("ana", "approvals", "list", "--json"))[1])
    assert (waiting["state"], waiting["words"], waiting["by"]) == ("open", "1 onto the list stolen", "ana")
    status, words = await said("ana", "approvals", "approve", waiting["request"])
    assert (status, "another person has to approve" in " ".join(words.split())) == (2, True)
    assert await entries(stream) == []
    assert (await said("lena", "approvals", "approve", waiting["request"], "--note", "checked"))[0] == 0
    (entry,) = await entries(stream)
    assert (entry["value"], entry["by"], "approved by lena" in entry["source"]) == ("d-1", "ana", True)
    assert (await said("ana", "approvals", "list", "--json"))[1].strip() == "[]"
    assert (await said("lena", "lists", "remove", "stolen", "device=d-1", "--reason", "returned"))[0] == 1
    (waiting,) = json.loads((await said("ana", "approvals", "list", "--json"))[1])
    assert (await said("lena", "approvals", "reject", waiting["request"]))[0] == 0
    status, words = await said("ana", "approvals", "approve", waiting["request"])
    assert (status, "is rejected: ask again" in " ".join(words.split())) == (2, True)
    assert len(await entries(stream)) == 1
    assert (await said("ana", "approvals", "approve", "0" * 12))[0] == 2


def test_settings_that_cannot_be_meant_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that cannot wait; signatures without the file of those whose count."""
    from services.errors import SettingsError

    monkeypatch.setenv("ASSAY_PERSONS_FOUR_EYES", "lists, everything")
    with pytest.raises(SettingsError, match="everything"):
        needs_second("list")
    monkeypatch.setenv("ASSAY_PERSONS_FOUR_EYES", "lists")
    assert (needs_second("list"), needs_second("policy")) == (True, False)
    monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "2")
    assert (needs_second("policy"), PersonsSettings().signatures_min) == (True, 2)
    with pytest.raises(SettingsError, match="ASSAY_PERSONS_FILE"):
        step_rule()
