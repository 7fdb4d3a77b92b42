"""The case service on the real broker: a burst and a kill, aborted alerts, an analyst's day, a webhook."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from typer.testing import CliRunner

from schemas import codec
from schemas.alert import Alert, Reason
from schemas.case import Case
from schemas.topics import ALERTS, CASE_ACTIONS, CASE_MUTES, CASES, DEAD_LETTERS, LABELS, LISTS, MONITOR
from services.cli.app import app
from services.kafka.client import transactional_producer
from services.scorer.lists import ListTable
from services.settings.processing import RuntimeSettings
from tests.services.harness import BASE_TIME_MS, WAIT_S_MAX, Scorer, Stream

HOUR_MS = 3_600_000


def alert(number: int, card: str, **changes: Any) -> Alert:
    """The number-th alert of a card, a minute after the one before."""
    reason = Reason(feature="amount", value=900.0, contribution=0.5, score="probability", text="a large amount")
    return Alert(
        transaction_id=f"tx-{card}-{number}",
        event_time_ms=BASE_TIME_MS + number * 60_000,
        card_id=card,
        probability=0.75,
        reconstruction_error=1.0,
        anomaly_percentile=99.0,
        alert=True,
        model="fraud/1@cpu",
        terminal_id=f"terminal-{number % 3}",
        amount=100.0,
        currency="EUR",
        triggers=("probability",),
        reasons=(reason,),
    ).model_copy(update=changes)


async def send_alerts(stream: Stream, alerts: list[Alert]) -> None:
    """Keyed by card, as the scorer does."""
    await stream.send([codec.write(a) for a in alerts], [a.card_id.encode() for a in alerts], ALERTS.name)


async def cases(stream: Stream) -> dict[str, Case]:
    """The newest record of each case."""
    newest: dict[str, Case] = {}
    for record in await stream.read(CASES.name):
        if record.value:
            newest[record.key.decode()] = codec.read(Case, record.value)
        else:
            newest.pop(record.key.decode(), None)
    return newest


async def in_cases(stream: Stream) -> int:
    """How many alerts the cases count."""
    return sum(case.alerts for case in (await cases(stream)).values())


async def until(service: Scorer, done: Callable[[], bool]) -> None:
    """Wait for something that the service is about to do."""
    await until_async(service, lambda: asyncio.to_thread(done))


async def until_async(service: Scorer, done: Callable[[], Awaitable[bool]]) -> None:
    """The same, of something that is waited for to be known."""
    deadline = asyncio.get_running_loop().time() + 5 * WAIT_S_MAX
    while not await done():
        assert service.returncode is None, service.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, service.log()[-3000:]
        await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_a_burst_of_ten_thousand_alerts_on_fifty_cards_is_fifty_cases_once_each_across_a_kill(
    stream: Stream,
) -> None:
    """The service is killed in the middle; the next process takes over its tables, and no alert counts twice."""
    burst = [alert(n, f"card-{c:02d}") for n in range(200) for c in range(50)]
    first = stream.service("services.cases")
    await send_alerts(stream, burst)
    await until(first, lambda: first.metric("assay_case_changes_total") > 2000)
    first.kill()
    assert 0 < await in_cases(stream) < 10_000
    second = stream.service("services.cases")

    async def all_are_in() -> bool:
        return await in_cases(stream) >= 10_000

    # not by what the second changed: what the first sent last may arrive after its death, and is then known to the second
    await until_async(second, all_are_in)
    assert second.terminate() == 0
    found = await cases(stream)
    assert len(found) == 50
    assert {case.card_id for case in found.values()} == {f"card-{c:02d}" for c in range(50)}
    assert all(case.alerts == 200 and abs(case.priority - 200 * 75.0) < 1e-6 for case in found.values())
    for case in found.values():
        assert [listed.transaction_id for listed in case.listed] == [f"tx-{case.card_id}-{n}" for n in range(50)]


@pytest.mark.slow
async def test_alerts_of_an_aborted_transaction_never_become_cases(stream: Stream) -> None:
    """As shipped, Faust reads them. What is no alert at all is one dead letter."""
    producer = transactional_producer(stream.kafka, RuntimeSettings(), f"{stream.prefix}aborting")
    await producer.start()
    topic = stream.prefix + ALERTS.name
    try:
        for card, commit in (("aborted", False), ("committed", True)):
            await producer.begin_transaction()
            for n in range(20):
                await producer.send_and_wait(topic, codec.write(alert(n, card)), key=b"k", partition=1)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()
    await stream.send([b"not an alert"], [b"k"], ALERTS.name)
    service = stream.service("services.cases")
    await until(service, lambda: service.metric("assay_case_changes_total") >= 20)
    await until(service, lambda: service.metric("assay_dead_letters_total", reason="undecodable") >= 1)
    assert service.terminate() == 0
    assert {case.card_id: case.alerts for case in (await cases(stream)).values()} == {"committed": 20}
    (letter,) = await stream.read(DEAD_LETTERS.name)
    assert json.loads(letter.value)["source_topic"] == topic
    assert "not an alert" not in service.log()


def command(*arguments: str) -> Any:
    """Output of an `assay` command."""
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


@pytest.fixture
async def webhook() -> AsyncIterator[tuple[str, set[tuple[str, str]]]]:
    """The address of a receiver that refuses one card's cases, and what it heard: card and change."""
    heard: set[tuple[str, str]] = set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        case = json.loads(await request.read())
        heard.add((case["card_id"], case["change"]))
        return web.Response(status=400 if case["card_id"] == "refused" else 200)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", heard
    await runner.cleanup()


async def test_an_analyst_decides_and_the_world_is_told(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, webhook: tuple[str, set[tuple[str, str]]]
) -> None:
    """List, confirm, dismiss, suppress; labels come of it; the webhook hears of it, and what it refuses is kept."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    url, heard = webhook
    settings = {"ASSAY_CASES_WEBHOOK_SECRET": "a secret of 16 bytes", "ASSAY_CASES_CONFIRMED_LIST": "blocked"}
    service = stream.service("services.cases", ASSAY_CASES_WEBHOOK_URL=url, **settings)
    await send_alerts(stream, [alert(0, "large", amount=900.0), *(alert(n, "small") for n in range(3))])
    await send_alerts(stream, [alert(0, "refused", amount=1.0)])
    await until(service, lambda: service.metric("assay_case_changes_total") >= 5)
    listed = await asyncio.to_thread(command, "cases", "list", "--state", "open", "--json")
    assert [case["alerts"] for case in listed] == [1, 3, 1]
    assert all(case["card_id"].startswith("***") for case in listed)
    large, small = listed[0]["case_id"], listed[1]["case_id"]
    await asyncio.to_thread(command, "cases", "confirm", large, "--by", "ana", "--note", "called")
    await asyncio.to_thread(command, "cases", "dismiss", small, "--by", "ana")
    await asyncio.to_thread(command, "cases", "mute", listed[2]["case_id"], "--by", "ana", "--note", "test card")
    await send_alerts(stream, [alert(1, "refused"), alert(0, "late")])
    await until(service, lambda: service.metric("assay_case_changes_total", change="opened") >= 4)
    shown = await asyncio.to_thread(command, "cases", "show", large, "--json", "--unmasked", "--why", "a test")
    assert (shown["state"], shown["decided_by"], shown["note"]) == ("confirmed", "ana", "called")
    await until(service, lambda: service.metric("assay_webhook_deliveries_total") >= 6)
    assert service.terminate() == 0
    labels = [json.loads(record.value) for record in await stream.read(LABELS.name)]
    assert {(one["transaction_id"], one["verdict"], one["source"]) for one in labels} == {
        ("tx-large-0", "fraud", "analyst"),
        *((f"tx-small-{n}", "legitimate", "analyst") for n in range(3)),
    }
    table = ListTable()
    table.apply(await stream.read(LISTS.name))
    cards = ("large", "small", "refused", "late")
    on = table.lists.contains("blocked", "card_id", cards, np.zeros(len(cards), np.int64))
    assert on.tolist() == [True, False, False, False]
    found = await cases(stream)
    assert {case.card_id: case.alerts for case in found.values()} == {"large": 1, "small": 3, "refused": 1, "late": 1}
    opened = {(card, "opened") for card in ("large", "small", "refused", "late")}
    assert heard == opened | {("large", "confirmed"), ("small", "dismissed")}
    (letter,) = [json.loads(record.value) for record in await stream.read(DEAD_LETTERS.name)]
    assert (letter["reason"], letter["detail"]) == ("undelivered", "the webhook answered 400")


@pytest.mark.slow
async def test_of_two_analysts_who_decide_at_once_one_decides_and_the_other_hears_of_it(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both saw the case open and wait for the service; labels, history and both answers agree on who was first."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    first = stream.service("services.cases")
    await send_alerts(stream, [alert(0, "a")])
    await until(first, lambda: first.metric("assay_case_changes_total") >= 1)
    assert first.terminate() == 0
    ((number, case),) = (await cases(stream)).items()
    deciding = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli", "cases", verb, number, "--by", by, "--seen", "1", "--wait", "300"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for verb, by in (("confirm", "ana"), ("dismiss", "ben"))
    ]

    async def both_are_written() -> bool:
        return len(await stream.read(CASE_ACTIONS.name)) == 2

    deadline = asyncio.get_running_loop().time() + WAIT_S_MAX
    while not await both_are_written():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.2)
    second = stream.service("services.cases")
    said = [await each.communicate() for each in deciding]
    after = (await cases(stream))[number]
    assert after.version == case.version + 2
    assert [line.refused for line in after.history] == [False, True]
    winner, loser = (0, 1) if after.history[0].by == "ana" else (1, 0)
    assert (deciding[winner].returncode, deciding[loser].returncode) == (0, 2), said
    stands = f"{after.state} by {after.history[0].by} at "
    assert said[winner][0].decode().startswith(f"{number}: {stands}")
    assert f"was {stands}" in said[loser][1].decode()
    assert said[loser][1].decode().strip().endswith("is refused; --overrule decides anyway.")
    other = "dismiss" if after.state == "confirmed" else "confirm"
    overruled = await asyncio.to_thread(command, "cases", other, number, "--by", "cho", "--overrule", "--json")
    assert (overruled["refused"], overruled["decided_by"]) == (False, "cho")
    assert second.terminate() == 0
    verdicts = {"confirm": "fraud", "dismiss": "legitimate"}
    labels = [json.loads(record.value)["verdict"] for record in await stream.read(LABELS.name)]
    assert labels == [verdicts[after.history[0].action], verdicts[other]]


@pytest.mark.slow
async def test_only_what_a_case_has_is_muted_and_mutes_are_listed_and_lifted(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id as the list shows it is refused with the case's number, which does instead; a lifted card makes cases again."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    service = stream.service("services.cases")
    await send_alerts(stream, [alert(0, "card-of-this-test")])
    await until(service, lambda: service.metric("assay_case_changes_total") >= 1)
    (listed,) = await asyncio.to_thread(command, "cases", "list", "--json")
    number, hidden = listed["case_id"], listed["card_id"]

    async def refused(*arguments: str) -> str:
        return str((await asyncio.to_thread(CliRunner().invoke, app, ["cases", *arguments])).exception)

    why = await refused("snooze", "--card", hidden)
    assert why == f"{hidden} is an id as lists show it, not a whole one: name its case instead: {number}."
    assert (await refused("snooze", "--terminal", "terminal-00")).startswith(
        "No case has the terminal terminal-00 (near: t"
    )
    assert await refused("unmute", number) == "That card is not muted: `assay cases mutes` shows what is."
    assert await stream.read(CASE_ACTIONS.name) == []

    async def mutes() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await asyncio.to_thread(command, "cases", "mutes", "--json")
        return found

    async def is_muted() -> bool:
        return bool(await mutes())

    async def is_lifted() -> bool:
        return not await mutes()

    await asyncio.to_thread(command, "cases", "snooze", number, "--hours", "48", "--by", "ana", "--note", "a fair")
    await until_async(service, is_muted)
    (held,) = await mutes()
    assert (held["scope"], held["muted_id"], held["case_id"], held["by"]) == ("card", hidden, number, "ana")
    assert held["until_ms"] > 0
    assert not held["over"]
    await send_alerts(stream, [alert(1, "card-of-this-test")])
    await until(service, lambda: service.metric("assay_muted_alerts_total") >= 1)
    await asyncio.to_thread(command, "cases", "unmute", number)
    await until_async(service, is_lifted)
    await send_alerts(stream, [alert(2, "card-of-this-test")])
    await until(service, lambda: service.metric("assay_case_changes_total") >= 2)
    assert service.terminate() == 0
    assert [case.alerts for case in (await cases(stream)).values()] == [2]


async def test_an_action_whose_note_holds_a_card_number_is_a_dead_letter_and_its_neighbours_act(stream: Stream) -> None:
    """A note reaches `cases`, webhooks and screens; a terminal may be numbered as its owner likes."""
    mute = {"action": "mute", "scope": "terminal", "by": "ana"}
    numbered = "4111111111111111"
    actions = [
        {**mute, "muted_id": numbered},
        {**mute, "muted_id": "t2", "note": "4111 1111 1111 1111 called"},
        {**mute, "muted_id": "t3", "scope": "card", "by": numbered},
        {**mute, "muted_id": numbered, "scope": "card"},
        {**mute, "muted_id": "t5"},
    ]
    payloads = [json.dumps(action).encode() for action in actions]
    await stream.send(payloads, [b"k"] * len(payloads), CASE_ACTIONS.name)
    service = stream.service("services.cases")
    await until(service, lambda: service.metric("assay_dead_letters_total", reason="card_number") >= 3)

    async def muted() -> bool:
        return len(await stream.read(CASE_MUTES.name)) >= 2

    await until_async(service, muted)
    assert service.terminate() == 0
    assert {json.loads(mute.value)["muted_id"] for mute in await stream.read(CASE_MUTES.name)} == {numbered, "t5"}
    assert [json.loads(letter.value)["reason"] for letter in await stream.read(DEAD_LETTERS.name)] == [
        "card_number"
    ] * 3


async def test_one_bad_record_hides_no_case_no_mute_and_no_report_from_those_who_list_them(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can write one record of a table ended each command that reads it, with a traceback, for good."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    service = stream.service("services.cases")
    await send_alerts(stream, [alert(0, "a")])
    await until(service, lambda: service.metric("assay_case_changes_total") >= 1)
    (case_id,) = await cases(stream)
    await asyncio.to_thread(command, "cases", "mute", case_id, "--by", "ana")

    async def muted() -> bool:
        return bool(await stream.read(CASE_MUTES.name))

    await until_async(service, muted)
    good = codec.write((await cases(stream))[case_id])
    bad = [
        (b"\xff", b"{}"),
        (b"0-999", good),
        (case_id.encode(), b"{"),
        (b"x", b'{"z":' + b"9" * 4301 + b"}"),
    ]
    for topic in (CASES, CASE_MUTES, MONITOR):
        await stream.send([value for _, value in bad], [key for key, _ in bad], topic.name)
    listed = await asyncio.to_thread(command, "cases", "list", "--json")
    assert [case["case_id"] for case in listed] == [case_id]
    (shown,) = await asyncio.to_thread(command, "cases", "mutes", "--json")
    assert shown["case_id"] == case_id
    decided = await asyncio.to_thread(command, "cases", "confirm", case_id, "--by", "ana", "--json")
    assert decided["state"] == "confirmed"
    outcome = await asyncio.to_thread(CliRunner().invoke, app, ["monitor", "show"])
    assert outcome.exit_code == 0
    assert "is left out: not well-formed JSON" in outcome.output
    assert service.terminate() == 0


async def test_a_note_with_a_card_number_is_refused_before_it_is_written(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, and nothing on the topic."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    done = CliRunner().invoke(app, ["cases", "suppress", "--terminal", "t1", "--note", "pan 4111111111111111"])
    assert str(done.exception) == "note holds a card number: leave it out, or name the card by its pseudonym."
    assert await stream.read(CASE_ACTIONS.name) == []
