"""`assay label`: one label, files of them, and what is left out."""

import asyncio
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiokafka.partitioner import DefaultPartitioner

from models.files.options import ReadOptions, TableError
from schemas import codec
from schemas.label import Label
from schemas.topics import LABELS
from services.cli.offline.label_file import read_labels
from services.errors import AssayError
from tests.services.cli.test_app import run_main
from tests.services.harness import Stream

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000


def csv(path: Path, text: str) -> Path:
    """A file of labels."""
    path.write_text(text)
    return path


def test_a_file_with_other_names_and_words_is_read(tmp_path: Path) -> None:
    """Rows that are no label are counted by what is wrong with them."""
    path = csv(
        tmp_path / "labels.csv",
        "TX,IS_FRAUD,WHEN,PAID\n"
        "a,1,2023-11-10T00:00:00,2023-11-01T00:00:00\n"
        "b,0,2023-11-10T00:00:00,2023-11-01T00:00:00\n"
        "c,maybe,2023-11-10T00:00:00,2023-11-01T00:00:00\n"
        "d,1,2023-11-10T00:00:00,2023-01-01T00:00:00\n"
        ",1,2023-11-10T00:00:00,2023-11-01T00:00:00\n",
    )
    pairs = ["transaction_id=TX", "verdict=IS_FRAUD", "labelled_at_ms=WHEN", "event_time_ms=PAID"]
    labels, refused = read_labels(path, pairs, "chargeback", NOW_MS, ReadOptions(time_zone="UTC"))
    assert [(one.transaction_id, one.verdict, one.source) for one in labels] == [
        ("a", "fraud", "chargeback"),
        ("b", "legitimate", "chargeback"),
    ]
    assert labels[0].labelled_at_ms - labels[0].event_time_ms == 9 * DAY_MS  # type: ignore[operator]
    assert [(why.partition(":")[0], line) for why, line in refused] == [
        ("verdict is none", 4),
        ("more than 180 days after the payment", 5),
        ("transaction_id is not usable", 6),
    ]


def test_a_card_number_in_a_file_is_left_out(tmp_path: Path) -> None:
    """It would go onto a topic."""
    path = tmp_path / "labels.parquet"
    pl.DataFrame({"transaction_id": ["a"], "verdict": ["fraud"], "card_id": ["4111111111111111"]}).write_parquet(path)
    labels, [(why, line)] = read_labels(path, [], "analyst", NOW_MS)
    assert (labels, line) == ([], 1)
    assert why.startswith("card_id is a card number: give the pseudonym")


@pytest.mark.parametrize(
    ("name", "text", "pairs", "sentence"),
    [
        ("labels.xls", "", [], "ends in none of"),
        ("labels.csv", "transaction_id\na\n", [], "has no column verdict"),
        ("labels.csv", "transaction_id,verdict\na,1\n", ["verdict=nothing"], "is not FIELD=COLUMN"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, name: str, text: str, pairs: list[str], sentence: str
) -> None:
    """It says what to do."""
    with pytest.raises((AssayError, TableError), match=sentence):
        read_labels(csv(tmp_path / name, text), pairs, "analyst", NOW_MS)


def test_a_label_long_after_its_payment_and_a_half_given_one_are_sentences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2."""
    assert run_main(monkeypatch, "label", "tx", "fraud", "--paid", "2020-01-01", "--at", "2020-12-01") == 2
    assert "more than 180 days" in capsys.readouterr().err
    assert run_main(monkeypatch, "label", "tx") == 2
    assert "Give a transaction and a verdict" in capsys.readouterr().err


async def test_labels_reach_the_partition_of_their_payment_in_order(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One by hand after a file: the last of a payment is the last on the topic."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    rows = "".join(f"tx-{n},fraud\n" for n in range(50))
    path = csv(tmp_path / "labels.csv", f"transaction_id,verdict\n{rows}")
    assert await said(monkeypatch, "--file", str(path), "--source", "chargeback") == 0
    assert json.loads(capsys.readouterr().out) == {"labels": 50, "refused": {}, "reasons": []}
    assert await said(monkeypatch, "tx-7", "legitimate", "--terminal", "t1", "--paid", "2026-11-20") == 0
    records = await asyncio.wait_for(stream.read(LABELS.name), 60)
    for record in records:
        assert record.partition == DefaultPartitioner()(record.key, list(range(4)), list(range(4)))
    last: dict[str, Label] = {}
    for record in records:
        label = codec.read(Label, record.value)
        last[label.transaction_id] = label
    assert len(last) == 50
    assert (last["tx-7"].verdict, last["tx-7"].source, last["tx-7"].terminal_id) == ("legitimate", "analyst", "t1")


async def said(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int:
    """Exit status of `assay label --json`."""
    return await asyncio.to_thread(run_main, monkeypatch, "label", "--json", *arguments)


def test_a_file_names_further_ids_by_columns_of_their_own(tmp_path: Path) -> None:
    """Those that features of an entity need; an empty one is none."""
    text = "transaction_id,verdict,ids.device_id,PAYEE\nt1,fraud,d1,p1\nt2,fraud,,p2\n"
    labels, refused = read_labels(csv(tmp_path / "labels.csv", text), ["ids.payee_id=PAYEE"], "chargeback", NOW_MS)
    assert [label.ids for label in labels] == [{"device_id": "d1", "payee_id": "p1"}, {"payee_id": "p2"}]
    assert refused == []
