"""Decisions sealed per subject, by real scorers on the real broker: erased, restarted, verified, replayed."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.bundle.keys import write_seal_key
from models.sources.spec_file import parse_source, topic_of
from schemas import codec
from schemas.decision import Decision
from services.cli.app import app
from services.errors import AssayError
from services.kafka.topics_admin import create_topics
from services.monitor.evidence import RecordedDecision
from services.privacy.sealed_decisions import opened
from services.privacy.subject_keys import SubjectKeys, subject_keys
from services.settings.privacy import SubjectSettings
from tests.services.harness import Stream, payment
from tests.services.scorer.test_source import SOURCE, bundle_of, event

RECORDS = 3000
CARDS = 40
ERASED = "k1:card-0007"


@pytest.fixture
def sealing(stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SubjectKeys:
    """The settings of scorers and of the command line; every fourth decision is recorded."""
    write_seal_key(tmp_path / "subjects", ".secret")
    where = {
        "ASSAY_SUBJECT_KEY_FILE": str(tmp_path / "subjects.secret"),
        "ASSAY_SUBJECT_SALTS_URL": str(tmp_path / "salts"),
    }
    stream.environment |= {**where, "ASSAY_DECISION_SHARE": "0.25"}
    for name, value in {
        **where,
        "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
        "ASSAY_TOPIC_PREFIX": stream.prefix,
        "ASSAY_GROUP": stream.group,
        "ASSAY_CARDS_MAX": "10000",
    }.items():
        monkeypatch.setenv(name, value)
    keys = subject_keys(SubjectSettings())
    assert keys is not None
    return keys


def assay(*arguments: str) -> str:
    """Standard output of a command that succeeds."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def payments(first: int, count: int) -> list[bytes]:
    """Payments of CARDS cards, some of them dear."""
    return [
        json.dumps(payment(i, card=f"k1:card-{i % CARDS:04d}", amount=5000.0 if i % 97 == 0 else 25.0)).encode()
        for i in range(first, first + count)
    ]


async def decisions(stream: Stream) -> list[Decision]:
    """As they lie on the topic."""
    return [codec.read(Decision, record.value) for record in await stream.read("decisions")]


async def test_an_erased_subjects_decisions_no_longer_open_and_others_do(stream: Stream, sealing: SubjectKeys) -> None:
    """Two scorers over four partitions; the master key is there before and after, and so are the records."""
    scorers = [stream.scorer(), stream.scorer()]
    await stream.send(payments(0, RECORDS))
    await stream.caught_up(scorers)
    assert [scorer.metric("assay_decisions_sealed") for scorer in scorers] == [1.0, 1.0]
    assert [scorer.terminate() for scorer in scorers] == [0, 0]

    raw = await stream.read("decisions")
    assert not any(b"k1:card-" in part for record in raw for part in (record.key, record.value))
    recorded = await decisions(stream)
    before = [opened(decision, sealing) for decision in recorded]
    assert {each.was for each in before} == {"opened"}
    assert {each.decision.card_id for each in before} == {f"k1:card-{number:04d}" for number in range(CARDS)}
    assert len({each.decision.bundle_digest for each in before}) == 1
    width = {len(each.decision.features) for each in before}
    assert len(width) == 1
    assert width != {0}
    assert all(each.decision.reasons for each in before if each.decision.recorded_because == "alert")

    told = json.loads(assay("privacy", "erase", ERASED, "--yes", "--json"))
    assert told["erased"]

    after = [opened(decision, sealing) for decision in recorded]
    for was, now in zip(before, after, strict=True):
        if was.decision.card_id == ERASED:
            assert now.was == "erased"
            assert ERASED not in now.decision.model_dump_json()
            assert now.decision.features == now.decision.reasons == ()
        else:
            assert now == was
    assert sum(now.was == "erased" for now in after) == sum(was.decision.card_id == ERASED for was in before) > 0


@pytest.mark.slow
async def test_sealed_streams_verify_replay_and_are_monitored_without_the_key(
    stream: Stream, sealing: SubjectKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is about the model stays readable: the oracle's rule, the scores' bits, the weights of the quality figures."""
    doomed = stream.scorer(ASSAY_FAILPOINT="after_sends:3", ASSAY_BATCH_RECORDS_MAX="200")
    await stream.send(payments(0, RECORDS))
    assert doomed.wait() < 0
    heir = stream.scorer()
    await stream.caught_up([heir])
    assert heir.terminate() == 0
    for name in ("ASSAY_SUBJECT_KEY_FILE", "ASSAY_SUBJECT_SALTS_URL"):
        monkeypatch.delenv(name)
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert verdict.decisions == len(await decisions(stream))
    assert verdict.unruled == 0
    for record in await stream.read("decisions"):
        assert codec.read(RecordedDecision, record.value).sample_share == 0.25
    replayed = json.loads(await asyncio.to_thread(assay, "replay", "--json"))
    assert replayed["compared"] == verdict.scores
    assert not replayed["differing"]
    built = str(stream.directory / "set.parquet")
    counted = json.loads(await asyncio.to_thread(assay, "dataset", "build", built, "--maturity-days", "0", "--json"))
    assert counted["payments"] == verdict.scores


async def test_auditors_open_what_is_sealed_and_cards_stay_masked(
    stream: Stream, sealing: SubjectKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`assay tail decisions --open`; without it, or for the erased, the record as it lies there."""
    scorer = stream.scorer()
    await stream.send(payments(0, RECORDS))
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    count = len(await stream.read("decisions"))
    assert sealing.erase(ERASED)
    options = ("tail", "decisions", "--from-start", "--count", str(count), "--json")
    why = ("--why", "an auditor's test")

    closed = [json.loads(line) for line in (await asyncio.to_thread(assay, *options)).splitlines()]
    assert len(closed) == count
    assert all(each["sealed"] and not each["features"] and each["card_id"].startswith("***") for each in closed)

    text = await asyncio.to_thread(assay, *options, "--open", *why)
    assert "k1:card" not in text
    shown = [json.loads(line) for line in text.splitlines()]
    assert {bool(each["features"]) for each in shown if each["sealed"] is None} == {True}
    whole = [
        json.loads(line)
        for line in (await asyncio.to_thread(assay, *options, "--open", "--unmasked", *why)).splitlines()
    ]
    assert {each["card_id"] for each in whole if each["sealed"] is None} == {
        f"k1:card-{number:04d}" for number in range(CARDS)
    } - {ERASED}
    assert sum(each["sealed"] is not None for each in whole) == sum(each["sealed"] is not None for each in shown) > 0

    salts, away = stream.directory / "salts", stream.directory / "away"
    salts.rename(away)
    salts.write_text("a file where the directory should be")
    told = await asyncio.to_thread(CliRunner().invoke, app, [*options, "--open", *why])
    assert isinstance(told.exception, AssayError)
    assert "ASSAY_SUBJECT_SALTS_URL says where" in str(told.exception)

    for name in ("ASSAY_SUBJECT_KEY_FILE", "ASSAY_SUBJECT_KEY"):
        monkeypatch.delenv(name, raising=False)
    told = await asyncio.to_thread(CliRunner().invoke, app, [*options, "--open", *why])
    assert "--open needs the key" in str(told.exception)
    told = await asyncio.to_thread(CliRunner().invoke, app, ["tail", "scores", "--open"])
    assert "scores are not sealed" in str(told.exception)


async def test_a_scorer_whose_salts_cannot_be_kept_commits_nothing(stream: Stream, sealing: SubjectKeys) -> None:
    """It says why, and goes on on its own once they can: no decision is lost, none is plain."""
    salts = stream.directory / "salts"
    salts.write_text("a file where the directory should be")
    scorer = stream.scorer(ASSAY_RESTARTS_MAX="1000")
    await stream.send(payments(0, 400))
    await asyncio.to_thread(scorer.wait_for_log, "SubjectKeysError")
    assert not await stream.read("scores")
    salts.unlink()
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    recorded = await decisions(stream)
    assert recorded
    assert {opened(decision, sealing).was for decision in recorded} == {"opened"}
    assert (await stream.verdict()).clean


async def test_what_is_personal_in_alerts_is_sealed_too_and_erased_with_the_subject(
    stream: Stream, sealing: SubjectKeys, tmp_path: Path
) -> None:
    """The masked end stands nowhere on the topic; `assay tail alerts --open` shows it until the subject is erased."""
    name = "payments.authorised.v2"
    source = parse_source(
        SOURCE.replace("show: true", "show: true, personal: true").replace(name, stream.prefix + name)
    )
    await create_topics(stream.kafka, stream.topics, [topic_of(source)])
    scorer = stream.scorer(
        ASSAY_BUNDLE=str(bundle_of(source, tmp_path / "bundle")),
        ASSAY_ALLOW_UNSIGNED_BUNDLES="true",
        ASSAY_BUNDLE_PUBLIC_KEYS="",
    )
    events = [event(i) | {"device": {"id": f"device-of-somebody-{i % 3}abc"}} for i in range(1, 600)]
    values = [json.dumps(record).encode() for record in events]
    await stream.send(values, [record["card"]["token"].encode() for record in events], name)
    await stream.caught_up([scorer], name=name)
    assert scorer.terminate() == 0
    alerts = await stream.read("alerts")
    assert alerts
    assert not any(b"***" in record.value for record in alerts)
    options = (
        "tail",
        "alerts",
        "--from-start",
        "--count",
        str(len(alerts)),
        "--json",
        "--open",
        "--unmasked",
        "--why",
        "a test",
    )

    async def ends() -> dict[str, set[str]]:
        lines = (await asyncio.to_thread(assay, *options)).splitlines()
        found: dict[str, set[str]] = {}
        for one in map(json.loads, lines):
            found.setdefault(one["card_id"], set()).update(shown["text"][-4:] for shown in one["attributes"])
        return found

    before = await ends()
    assert {end for card in before.values() for end in card} == {"0abc", "1abc", "2abc"}
    erased = sorted(before)[0]
    assert sealing.erase(erased)
    assert await ends() == before | {erased: {"aled"}}
