"""Commands that talk to a Kafka: topics, tail, simulate, verify, doctor."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.sources.spec_file import load_source
from schemas.alert import Alert, Reason
from schemas.credit import CreditDecision, CreditScore
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.decision import Decision
from schemas.score import Score
from schemas.topics import TOPICS, TRANSACTIONS, source_headers
from services.cli.app import app
from services.cli.operating import checks
from services.cli.operating.tail import Output
from services.errors import AssayError
from services.kafka.client import plain_producer, reader
from services.kafka.topics_admin import create_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings

CARD = "card-abcdefgh"
ALERT = Alert(
    transaction_id="tx-1",
    event_time_ms=1,
    card_id=CARD,
    probability=0.93,
    reconstruction_error=0.1,
    anomaly_percentile=99.7,
    alert=True,
    model="fraud/1@cpu",
    terminal_id="t-1",
    amount=1234.5,
    currency="EUR",
    triggers=("probability",),
    reasons=(Reason(feature="amount", value=1234.5, contribution=0.4, score="probability", text="amount is 1234.5"),),
)
DEAD_LETTER = DeadLetter(
    reason=DeadLetterReason.SCHEMA,
    detail="Expected float - at amount",
    source_topic="transactions",
    source_partition=1,
    source_offset=42,
    payload_bytes=99,
    payload_hmac_sha256="0" * 64,
    key_id="k",
)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, topic_prefix: str) -> None:
    """What a user would export."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("ASSAY_PARTITIONS", "2")
    monkeypatch.setenv("ASSAY_GROUP", f"{topic_prefix}group")
    monkeypatch.delenv("ASSAY_PRIVACY_KEY", raising=False)


def assay(*arguments: str) -> str:
    """Standard output of a command that succeeds."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def write(bootstrap: str, topic: str, *values: bytes, key: bytes | None = None) -> None:
    """Records on partition 0."""

    async def send() -> None:
        producer = plain_producer(KafkaSettings(bootstrap=bootstrap), RuntimeSettings())
        await producer.start()
        for offset, value in enumerate(values):
            headers = source_headers("transactions", 0, offset, 0)
            await producer.send_and_wait(topic, value, key=key, partition=0, headers=headers)
        await producer.stop()

    asyncio.run(send())


def test_topics_are_created_once_and_listed(topic_prefix: str) -> None:
    """The second time they exist."""
    assert {topic["created"] for topic in json.loads(assay("topics", "create", "--json"))} == {True}
    assert {topic["created"] for topic in json.loads(assay("topics", "create", "--json"))} == {False}
    listed = json.loads(assay("topics", "list", "--json"))
    assert [topic["name"] for topic in listed] == [topic_prefix + topic.name for topic in TOPICS]
    expected = {topic_prefix + topic.name: 2 if topic.partitions == "input" else 1 for topic in TOPICS}
    assert {topic["name"]: topic["partitions"] for topic in listed} == expected
    assert "exists, 2 partitions" in assay("topics", "create")
    assert f"{topic_prefix}scores" in assay("topics", "list")


def test_a_source_specs_topic_is_made_by_its_whole_name_in_place_of_transactions(
    topic_prefix: str, tmp_path: Path
) -> None:
    """The prefix stands before Assay's own topics alone."""
    name, spec = f"theirs-{topic_prefix}payments", tmp_path / "source.yaml"
    spec.write_text(Path("docs/examples/source.yaml").read_text().replace("payments.authorised.v2", name))
    made = {
        topic["name"]: topic["created"]
        for topic in json.loads(assay("topics", "create", "--source", str(spec), "--json"))
    }
    assert made.keys() == {name, *(topic_prefix + topic.name for topic in TOPICS if topic is not TRANSACTIONS)}
    assert made[name]


def test_partitions_are_added_where_a_person_agrees_and_none_is_taken_away(
    topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the topics that have as many as the input; each way out is in the sentence that refuses."""
    assay("topics", "create")
    monkeypatch.setenv("ASSAY_PARTITIONS", "3")
    assert "topics create --add-partitions" in str(CliRunner().invoke(app, ["topics", "create"]).exception)
    add = ["topics", "create", "--add-partitions"]
    asked = CliRunner().invoke(app, add, input="n\n")
    assert asked.exit_code == 1
    assert "cannot take them away" in asked.output
    assert f"{topic_prefix}scores" not in _partitions(3)
    done = {topic["name"]: topic["partitions_added"] for topic in json.loads(assay(*add, "--yes", "--json"))}
    assert done == {topic_prefix + topic.name: int(topic.partitions == "input") for topic in TOPICS}
    assert _partitions(3) == {name for name, added in done.items() if added}
    assert "exists, 3 partitions" in assay(*add)
    monkeypatch.setenv("ASSAY_PARTITIONS", "2")
    fewer = str(CliRunner().invoke(app, [*add, "--yes"]).exception)
    assert "has 3 partitions, not 2: set ASSAY_PARTITIONS=3, or choose another ASSAY_TOPIC_PREFIX." in fewer


def _partitions(number: int) -> set[str]:
    """Topics with so many."""
    return {topic["name"] for topic in json.loads(assay("topics", "list", "--json")) if topic["partitions"] == number}


@pytest.mark.parametrize("routed", [True, False])
def test_a_users_topic_that_intake_reads_has_any_number_of_partitions_and_the_doctor_looks_for_it(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, routed: bool
) -> None:
    """In place of `transactions`, which is not there. One that a scorer reads has as many as its outputs."""
    name, spec = f"theirs-{topic_prefix}payments", tmp_path / "source.yaml"
    text = Path("docs/examples/source.yaml").read_text().replace("payments.authorised.v2", name)
    spec.write_text(text.replace("\nrouted: true\n", "\n") + ("\nrouted: true\n" if routed else ""))
    source = load_source(spec)
    theirs = replace(TRANSACTIONS, name=name, users=True)
    asyncio.run(create_topics(KafkaSettings(bootstrap=kafka_bootstrap), TopicSettings(partitions=3), [theirs]))
    create = ["topics", "create", "--source", str(spec)]
    monkeypatch.setattr(checks, "scoring_source", lambda: source)
    if not routed:
        refused = str(CliRunner().invoke(app, create).exception)
        assert refused == f"Topic {name} has 3 partitions, not 2: set ASSAY_PARTITIONS=3."
        monkeypatch.setenv("ASSAY_PARTITIONS", "4")
        theirs_alone = str(CliRunner().invoke(app, [*create, "--add-partitions", "--yes"]).exception)
        assert theirs_alone.startswith(
            f"{name} is your own and has 3 partitions, not 4: give it as many by your Kafka's"
        )
        monkeypatch.setenv("ASSAY_PARTITIONS", "3")
    made = {topic["name"]: topic["partitions"] for topic in json.loads(assay(*create, "--json"))}
    assert made[name] == 3
    assert made[f"{topic_prefix}scores"] == (2 if routed else 3)
    assert f"{topic_prefix}transactions" not in made
    found = {c["check"]: c for c in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    assert found["topics"]["ok"], found["topics"]


def test_tail_masks_card_ids_unless_told_otherwise(kafka_bootstrap: str, topic_prefix: str) -> None:
    """In lines for people and in JSON."""
    assay("topics", "create")
    write(kafka_bootstrap, f"{topic_prefix}alerts", ALERT.model_dump_json().encode(), key=CARD.encode())
    options = ("tail", "alerts", "--from-start", "--count", "1")
    text = assay(*options)
    assert CARD not in text
    assert "***efgh" in text
    assert "amount is 1234.5" in text
    masked = json.loads(assay(*options, "--json"))
    assert masked["card_id"] == "***efgh"
    assert masked["probability"] == ALERT.probability
    assert json.loads(assay(*options, "--json", "--unmasked", "--why", "a test")) == ALERT.model_dump(mode="json")


SCORE = Score(**{name: getattr(ALERT, name) for name in Score.model_fields})
RECORD = {"decided_at_ms": 2, "bundle_digest": "0" * 64, "features": (1.0,), "probability_threshold": 0.5}
RECORD |= {"anomaly_percentile_threshold": 99.0, "decision_id": "transactions-0-1"}
CREDIT = CreditScore(
    application_id="a-1",
    event_time_ms=1,
    applicant_id=CARD,
    probability=0.5,
    reconstruction_error=0.1,
    anomaly_percentile=50.0,
    outcome="approve",
    model="credit/1@cpu",
)
PERSONAL = {
    "scores": SCORE,
    "alerts": ALERT,
    "decisions": Decision(**dict(SCORE), **RECORD, outcome="alert", recorded_because="alert"),
    "credit-scores": CREDIT,
    "credit-decisions": CreditDecision(**dict(CREDIT), **RECORD),
}


@pytest.mark.parametrize("topic", PERSONAL)
def test_tail_shows_nobodys_whole_id_unless_told_to(kafka_bootstrap: str, topic_prefix: str, topic: str) -> None:
    """Of every topic that it shows, for people and for programs."""
    assert {*PERSONAL, "dead-letters"} == {each.value for each in Output}
    assay("topics", "create")
    write(kafka_bootstrap, topic_prefix + topic, PERSONAL[topic].model_dump_json().encode(), key=CARD.encode())
    options = ("tail", topic, "--from-start", "--count", "1")
    for shown in (assay(*options), assay(*options, "--json")):
        assert CARD not in shown
        assert "***efgh" in shown
    assert CARD in assay(*options, "--unmasked", "--why", "a test")


def test_tail_shows_dead_letters_and_passes_over_what_is_not_of_its_schema(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    """A record that cannot be read is noted, and the next one shown."""
    assay("topics", "create")
    write(kafka_bootstrap, f"{topic_prefix}dead-letters", b"garbage", DEAD_LETTER.model_dump_json().encode())
    text = assay("tail", "dead-letters", "--from-start", "--count", "2")
    assert text.splitlines() == ["schema       transactions-1@42 (99 bytes): Expected float - at amount"]


def test_tail_of_a_missing_topic_is_a_sentence() -> None:
    """It names the command that makes it."""
    result = CliRunner().invoke(app, ["tail", "scores"])
    assert isinstance(result.exception, AssayError)
    assert "assay topics create" in str(result.exception)


def test_simulated_payments_arrive(kafka_bootstrap: str, topic_prefix: str) -> None:
    """As many as were asked for, and the simulator's account is right."""
    assay("topics", "create")
    account = json.loads(assay("simulate", "--count", "500", "--rate", "5000", "--customers", "100", "--json"))
    assert account["records"] == 500

    async def count() -> int:
        consumer = reader(KafkaSettings(bootstrap=kafka_bootstrap), [topic_prefix + TRANSACTIONS.name])
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            return sum(ends.values())
        finally:
            await consumer.stop()

    assert asyncio.run(count()) == 500


def test_verify_of_a_group_that_never_ran_is_a_sentence(topic_prefix: str) -> None:
    """It names the group."""
    assay("topics", "create")
    result = CliRunner().invoke(app, ["verify", "--json"])
    assert isinstance(result.exception, AssayError)
    assert f"{topic_prefix}group" in str(result.exception)


def test_the_doctor_names_what_fails_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Topics and privacy key are missing; brokers answer."""
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    found = {check["check"]: check for check in json.loads(result.stdout)}
    assert found["settings"]["ok"]
    assert found["brokers"]["ok"]
    assert not found["topics"]["ok"]
    assert "assay topics create" in found["topics"]["detail"]
    assert "ASSAY_PRIVACY_KEY" in found["privacy key"]["detail"]
    assay("topics", "create")
    monkeypatch.setenv("ASSAY_PARTITIONS", "3")
    fixed = {c["check"]: c for c in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    assert "set ASSAY_PARTITIONS=2" in fixed["topics"]["detail"]


def test_the_doctor_refuses_a_bundle_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the directory and the setting."""
    monkeypatch.setenv("ASSAY_BUNDLE", "no/such/bundle")
    found = {c["check"]: c for c in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    assert not found["bundle"]["ok"]
    assert "no/such/bundle" in found["bundle"]["detail"]
    assert "ASSAY_BUNDLE" in found["bundle"]["detail"]
    assert "device" not in found


def test_the_doctor_reports_wrong_settings_and_checks_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting of the scorer does not hide the brokers."""
    monkeypatch.setenv("ASSAY_DEVICE", "abacus")
    found = {c["check"]: c for c in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    assert "ASSAY_DEVICE" in found["settings"]["detail"]
    assert found["brokers"]["ok"]


def test_the_doctor_asks_the_schema_registry_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that does not answer is found before records wait for it; the password is not shown."""
    monkeypatch.setenv("ASSAY_SCHEMA_REGISTRY_URL", "http://me:secret@127.0.0.1:1")
    shown = CliRunner().invoke(app, ["doctor", "--json"]).stdout
    found = {c["check"]: c for c in json.loads(shown)}["schema registry"]
    assert not found["ok"]
    assert "ASSAY_SCHEMA_REGISTRY_URL: http://127.0.0.1:1 does not answer" in found["detail"]
    assert "secret" not in shown
