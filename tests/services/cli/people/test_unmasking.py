"""`--unmasked` and `--open`: each is on the audit trail before anything is shown, and without that nothing is."""

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable

import pytest

from schemas.topics import ALERTS, AUDIT
from services.settings.kafka import KafkaSettings, TopicSettings
from services.verification.audit import check_trail
from tests.services.cli.operating.test_kafka_commands import ALERT, CARD
from tests.services.cli.test_app import run_main
from tests.services.harness import Stream

Said = Callable[..., Awaitable[tuple[int, str, str]]]
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def said(stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """A command: its status, what it printed, and its notes."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_AUDIT_KEY", KEY)

    async def run(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(run_main, monkeypatch, *arguments)
        found = capsys.readouterr()
        return status, found.out, " ".join(found.err.split())

    return run


async def test_who_sees_whole_ids_is_on_the_trail_first_with_the_reason(stream: Stream, said: Said) -> None:
    """Chains of commands beside each other hold; masked output asks for nothing and notes nothing."""
    await stream.send([ALERT.model_dump_json().encode()], [CARD.encode()], ALERTS.name)
    tail = ("tail", "alerts", "--from-start", "--count", "1", "--json")
    status, out, _ = await said(*tail)
    assert (status, CARD in out, await stream.read(AUDIT.name)) == (0, False, [])
    for why in ((), ("--why", "  no "), ("--why", "card 4111 1111 1111 1111 called")):
        status, out, words = await said(*tail, "--unmasked", *why)
        assert (status, out, "--why" in words) == (2, "", True)
    assert "leave it out" in (await said("cases", "list", "--why", "curious"))[2]
    assert await stream.read(AUDIT.name) == []
    status, out, words = await said(*tail, "--unmasked", "--why", "the bank asks about it")
    assert (status, CARD in out, "Noted in the audit trail" in words) == (0, True, True)
    for command in (("cases", "list"), ("cases", "mutes")):
        assert (await said(*command, "--unmasked", "--why", "weekly look"))[0] == 0
    records = [json.loads(record.value) for record in await stream.read(AUDIT.name)]
    assert [one["what"] for one in records] == [
        "assay tail alerts --unmasked",
        "assay cases list --unmasked",
        "assay cases mutes --unmasked",
    ]
    first = records[0]
    assert (first["by"], first["reason"], first["action"], first["outcome"]) == (
        getpass.getuser(),
        "the bank asks about it",
        "unmask",
        "asked",
    )
    assert CARD not in json.dumps(records)
    kafka, topics = KafkaSettings(bootstrap=stream.bootstrap), TopicSettings(topic_prefix=stream.prefix)
    verdict = await check_trail(kafka, topics, KEY.encode(), {})
    assert (verdict.records, verdict.chains, verdict.damage) == (3, 3, [])


async def test_nothing_is_shown_where_the_trail_cannot_be_written(
    stream: Stream, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic is missing; a file of one's own asks for nothing."""
    await stream.send([ALERT.model_dump_json().encode()], [CARD.encode()], ALERTS.name)
    monkeypatch.setattr(
        "services.console.audit.AUDIT", AUDIT.__class__("no-audit", AUDIT.schema, "chain", "none", None)
    )
    status, out, words = await said("tail", "alerts", "--from-start", "--count", "1", "--unmasked", "--why", "a look")
    assert (status, out) == (2, "")
    assert "Nothing is shown, since the audit trail cannot be written" in words
    assert "assay acls unmasking" in words
