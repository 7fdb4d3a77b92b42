"""`assay source infer|check|explain`, on files and on a real topic."""

import asyncio
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from models.sources.spec_file import load_source
from schemas.topics import Topic
from schemas.transaction import Transaction
from services.cli.app import app
from services.kafka.client import plain_producer
from services.kafka.topics_admin import create_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings
from tests.models.discovery.making import events
from tests.services.cli.test_app import run_main

PARTITIONS = 3


def assay(*arguments: str, status: int = 0) -> Result:
    """A command that ends with `status`."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == status, result.output
    return result


def topic_of(bootstrap: str, name: str, records: Sequence[dict[str, Any]], key: str) -> str:
    """A topic of the user's, its records keyed by a field of theirs."""

    async def fill() -> None:
        kafka = KafkaSettings(bootstrap=bootstrap)
        topic = Topic(name, Transaction, key, "the user's systems", None, users=True)
        await create_topics(kafka, TopicSettings(topic_prefix="not.mine.", partitions=PARTITIONS), [topic])
        producer = plain_producer(kafka, RuntimeSettings())
        await producer.start()
        for record in records:
            await producer.send(name, json.dumps(record).encode(), key=str(record[key]).encode())
        await producer.stop()

    asyncio.run(fill())
    return name


def test_a_csv_file_is_inferred_checked_and_explained(tmp_path: Path) -> None:
    """The spec reads the file; faults are shown with their reason, and too many of them are a status."""
    path, out = tmp_path / "payments.csv", tmp_path / "source.yaml"
    records = events(400, flag=lambda i: "yn"[i % 2], amount=lambda i: f"{i % 90}.25")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    assay("source", "infer", str(path), "--out", str(out))
    source = load_source(out)
    assert (source.topic, source.event.subject.path, set(source.attributes)) == ("payments", "card", {"flag"})
    looked = json.loads(assay("source", "check", str(out), str(path), "--json").stdout)
    assert looked["counts"] == {"event": 400, "fault": 0, "not selected": 0}
    assert len(looked["records"]) == 20
    assert looked["records"][0]["fields"]["subject"].startswith("***")
    assert looked["way"] is None
    assert "Its subject, whose history comes first" in assay("source", "explain", str(out)).stdout
    text = path.read_text().replace(",3.25,", ",three,")
    path.write_text(text)
    shown = assay("source", "check", str(out), str(path)).stdout
    assert "Expected a decimal number at $.amount" in shown
    path.write_text(text.replace(".25,", " euros,"))
    assay("source", "check", str(out), str(path), status=1)


def test_lines_and_parquet_give_the_same_spec(tmp_path: Path) -> None:
    """Nested objects, decimal numbers as text, refunds."""
    records = events(
        300,
        amount=lambda i: {"value": f"{'-' if i % 7 == 0 else ''}{i % 50}.10", "currency": "EUR"},
        device=lambda i: {"id": f"{i % 80:08x}", "ip": f"10.0.0.{i % 200}"},
    )
    lines, table = tmp_path / "events.jsonl", tmp_path / "table" / "events.parquet"
    table.parent.mkdir()
    lines.write_text("\n".join(map(json.dumps, records)))
    pl.DataFrame(records).write_parquet(table)
    for path in (lines, table):
        assay("source", "infer", str(path), "--out", str(path.with_suffix(".yaml")))
        looked = json.loads(assay("source", "check", str(path.with_suffix(".yaml")), str(path), "--json").stdout)
        assert looked["counts"]["event"] == 300
    assert load_source(lines.with_suffix(".yaml")) == load_source(table.with_suffix(".yaml"))


def test_open_questions_are_a_status_and_an_answered_spec_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file with questions is replaced by the one with answers; that one only with --overwrite."""
    path, out = tmp_path / "events.jsonl", tmp_path / "source.yaml"
    path.write_text("\n".join(map(json.dumps, events(300, amount=lambda i: 100 + i))))
    found = assay("source", "infer", str(path), "--out", str(out), "--json", status=1)
    (question,) = json.loads(found.stdout.splitlines()[0])["questions"]
    assert [answer["option"] for answer in question["answers"]] == ["--amount-scale 2", "--amount-scale 0"]
    assert run_main(monkeypatch, "source", "check", str(out), str(path)) == 2
    assert "event.amount: add it" in capsys.readouterr().err
    assay("source", "infer", str(path), "--out", str(out), "--amount-scale", "2")
    assert load_source(out).event.amount.scale == 2
    assert run_main(monkeypatch, "source", "infer", str(path), "--out", str(out), "--amount-scale", "0") == 2
    assert "is there already" in capsys.readouterr().err
    assay("source", "infer", str(path), "--out", str(out), "--amount-scale", "0", "--overwrite")
    assert run_main(monkeypatch, "source", "infer", str(tmp_path / "none.csv")) == 2
    assert "none.csv is not there" in " ".join(capsys.readouterr().err.split())


def test_a_topic_is_named_whole_and_read_directly_where_its_subject_keys_it(
    kafka_bootstrap: str,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Keyed by the merchant, its histories would be split: that is said, with the counts."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", "assays.own.")
    out = tmp_path / "source.yaml"
    records = events(500, time=lambda i: 1_767_225_600_000 + 1000 * i)
    direct = topic_of(kafka_bootstrap, f"{topic_prefix}direct", records, "card")
    assay("source", "infer", direct, "--out", str(out))
    assert "it is the key" in out.read_text()
    assert load_source(out).topic == direct
    looked = json.loads(assay("source", "check", str(out), "--json").stdout)
    assert (looked["way"], looked["counts"]["event"]) == ("direct", 500)
    routed = topic_of(kafka_bootstrap, f"{topic_prefix}routed", records, "merchant")
    looked = json.loads(assay("source", "check", str(out), routed, "--json").stdout)
    assert looked["way"] == "routed"
    assert "the record's key is card in 0 of 500" in looked["why"]
    sampled = json.loads(assay("source", "check", str(out), "--records", "50", "--json").stdout)
    assert 40 <= sampled["counts"]["event"] <= 50
    assert {row["where"].split("/")[0] for row in sampled["records"]} == {"0", "1", "2"}
    assert run_main(monkeypatch, "source", "infer", f"{topic_prefix}none") == 2
    assert f"There is no topic {topic_prefix}none" in " ".join(capsys.readouterr().err.split())


def test_the_envelope_around_a_topics_events_is_seen(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debezium's changes: paths lie in the row, deletions are not selected, and the topic has to be routed."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", kafka_bootstrap)
    rows = events(120)
    changes = [
        {"op": "d", "source": {}, "before": row, "after": None, "card": row["card"]}
        if i % 30 == 29
        else {"op": "c", "source": {}, "before": None, "after": row, "card": row["card"]}
        for i, row in enumerate(rows)
    ]
    name, out = topic_of(kafka_bootstrap, f"{topic_prefix}rows", changes, "card"), tmp_path / "source.yaml"
    assay("source", "infer", name, "--out", str(out))
    source = load_source(out)
    assert (source.envelope, source.event.amount.path) == ("debezium", "amount")
    looked = json.loads(assay("source", "check", str(out), "--json").stdout)
    assert looked["counts"] == {"event": 116, "fault": 0, "not selected": 4}
    assert looked["way"] == "routed"
    assert "out of its debezium envelope" in assay("source", "explain", str(out)).stdout
