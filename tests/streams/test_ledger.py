"""A database's changes as a file, from questions to events: composite ids, minor units of each currency, envelopes."""

import json
from pathlib import Path

import polars as pl
import pytest

from models.discovery.files import sample_file
from models.files.events import read_events
from models.files.options import ReadOptions
from models.sources.spec_file import SourceSpecError, load_source, parse_source
from schemas.currency_decimals import DECIMALS
from tests.services.cli.test_app import run_main
from tests.streams import ledger
from tests.streams.behaviour import Fact, facts

HISTORY = facts(4, subjects=40, rounds=12)
ALL_ASKED = ("--id branch_no,entry_no", "--amount-scale currency")


@pytest.fixture
def changes(tmp_path: Path) -> Path:
    """The topic's records as someone copied them, envelope and all, with the label in the row."""
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(value + b"\n" for _, value in ledger.records(HISTORY, labelled=True)))
    return path


def test_what_a_ledger_leaves_open_is_asked_with_answers_that_settle_it(
    changes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two fields that are together unique; minor units of each currency; what the others are worth; then nothing."""
    monkeypatch.chdir(tmp_path)
    given = ["init", "desk", "--from", str(changes)]
    said = ""
    for pair in [(), *(ledger.ANSWERS[at : at + 2] for at in range(0, len(ledger.ANSWERS), 2))]:
        given += pair
        status = run_main(monkeypatch, *given)
        asked = capsys.readouterr().err
        said += asked
        assert status == (0 if pair == ledger.ANSWERS[-2:] else 1), asked
        assert (tmp_path / "desk").exists() == (status == 0)
    assert all(answer in said for answer in ALL_ASKED)
    assert "--rates SEK=...,JPY=..." in " ".join(said.split()) or "--rates JPY=...,SEK=..." in " ".join(said.split())
    source = load_source(tmp_path / "desk/source.yaml")
    assert source.envelope == "debezium"
    assert source.event.id.join == ("branch_no", "entry_no")
    assert source.event.amount.scale == "currency"
    assert not any(path.startswith("__") for _, path in source.located())
    assert run_main(monkeypatch, "source", "check", "desk/source.yaml", str(changes), "--json") == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert (counts["event"], counts["fault"]) == (len(HISTORY), 0)


def spec_of(changes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder's source spec."""
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, "init", "desk", "--from", str(changes), *ledger.ANSWERS) == 0
    return tmp_path / "desk/source.yaml"


def test_amounts_are_in_the_main_unit_of_each_currency(
    changes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yen are whole, reversals negative; updates and deletions are no events; lines without an envelope are the same events."""
    source = load_source(spec_of(changes, tmp_path, monkeypatch))
    plain = tmp_path / "rows.jsonl"
    plain.write_text("".join(json.dumps(ledger.row(fact, labelled=True)) + "\n" for fact in HISTORY))
    found = {path: read_events(path, source, "confirmed_fraud") for path in (changes, plain)}
    columns = ("transaction_id", "amount", "currency", "is_fraud", "event_time_ms")
    assert found[changes].select(columns).equals(found[plain].select(columns))
    by_id = {row[0]: row[1:] for row in found[changes].select(columns).iter_rows()}
    assert by_id == {_id(fact): (_amount(fact), ledger.currency_of(fact), fact.fraud, fact.time_ms) for fact in HISTORY}
    assert {found[changes].filter(pl.col("amount") < 0)["currency"].n_unique()} == {3}


def _id(fact: Fact) -> str:
    made = ledger.row(fact, labelled=False)
    return f"{made['branch_no']}/{made['entry_no']}"


def _amount(fact: Fact) -> float:
    made = ledger.row(fact, labelled=False)
    sign = -1 if made["side"] == "CREDIT_REVERSAL" else 1
    return float(sign * made["amount_minor"] / 10.0 ** DECIMALS[made["ccy"]])


def test_a_currency_whose_decimals_no_standard_states_is_a_fault(
    changes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two places would be a guess; and a scale by currency without a currency is no spec."""
    path = spec_of(changes, tmp_path, monkeypatch)
    odd = tmp_path / "odd.jsonl"
    odd.write_text(json.dumps({**ledger.row(HISTORY[0], labelled=True), "ccy": "XBT"}) + "\n")
    (problem,) = read_events(odd, load_source(path), "confirmed_fraud")["problem"]
    assert "in a currency whose decimal places ISO 4217 states at $.amount_minor" in problem
    text = "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("  currency:"))
    with pytest.raises(SourceSpecError, match="scale: currency needs the event's currency"):
        parse_source(text)


def test_rates_that_lack_a_currency_or_are_none_are_refused_in_a_sentence(
    changes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says what to do."""
    monkeypatch.chdir(tmp_path)
    for rates, words in (
        ("SEK=0.09", "lacks EUR, JPY, which the sample has: add each but the one"),
        ("SEK:0.09,JPY=1", "SEK:0.09 is not CODE=NUMBER"),
        ("SEK=0.09,JPY=1e99", "JPY=1e99 is not CODE=NUMBER"),
        ("EUR=1,SEK=0.09,JPY=1", "has all the sample's currencies: leave out the one that they are worth in"),
        ("SEK=0.09,SEK=0.9,JPY=1", "has SEK twice"),
    ):
        assert run_main(monkeypatch, "init", "desk", "--from", str(changes), *ledger.ANSWERS[:-1], rates) == 2
        assert words in " ".join(capsys.readouterr().err.split())


def test_what_says_that_no_event_happened_is_left_out_and_counted(changes: Path) -> None:
    """A sample of a file says how many lines."""
    sample = sample_file(changes, ReadOptions(), 4_000)
    deleted = sum(fact.number % ledger.DELETED == 0 for fact in HISTORY)
    assert sample.envelope == "debezium"
    assert any(f"{deleted} lines hold no event" in note for note in sample.notes)
