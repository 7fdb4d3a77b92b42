"""Decisions sealed per subject, by real scorers on the real broker: erased, restarted, verified, replayed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.bundle.keys import write_seal_key
from schemas import codec
from schemas.decision import Decision
from services.cli.app import app
from services.monitor.evidence import RecordedDecision
from services.runtime.privacy_settings import SubjectSettings
from services.runtime.sealed_decisions import opened
from services.runtime.subject_keys import SubjectKeys, subject_keys
from tests.services.harness import Stream, payment

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
    """Output of a command that succeeds."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


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

    told = json.loads(assay_json("privacy", "erase", ERASED, "--yes", "--json"))
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


def assay_json(*arguments: str) -> str:
    """Standard output alone."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout
