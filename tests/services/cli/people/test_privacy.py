"""`assay privacy`: keys, pseudonyms, erasure."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models.bundle.keys import seal_key
from schemas.privacy import PrivacyKey, card_numbers_in, pseudonym
from services.cli.app import app
from services.errors import AssayError

VISA, AMEX = "4111111111111111", "378282246310005"
HEADER = "id,when,PAN,terminal,amount,note\n"
ROWS = [
    f"t-1,1577836800000,{VISA},m-1,12.5,hello\n",
    f"t-2,1577836800001,3782 822463 10005,m-2,7,{VISA}\n",
    f"t-3,1577836800002,{VISA},m-1,3,\n",
]
BAD_ROWS = {
    "a mistyped number": ("t-4,1577836800003,4111111111111112,m-1,3,\n", "no card number"),
    "no number": ("t-4,1577836800003,,m-1,3,\n", "is missing or empty"),
    "a number in another field": (f"t-4,1577836800003,{VISA},{AMEX},3,\n", "terminal_id holds a card number"),
    "a number as amount": (f"t-4,1577836800003,{VISA},m-1,{AMEX},\n", "Expected `float`"),
    "a number as time": (f"t-4,x{AMEX},{VISA},m-1,3,\n", "event_time_ms is no time: correct it"),
    "too long": (f"t-4,1577836800003,{VISA},{AMEX * 5},3,\n", "Expected `str` of length"),
}
OPTIONS = (
    *("--card-column", "PAN", "--map", "transaction_id=id", "--map", "event_time_ms=when"),
    *("--map", "terminal_id=terminal"),
)


def assay(*arguments: str, stdin: str | None = None) -> Result:
    """The command's end, whatever it is."""
    return CliRunner().invoke(app, ["privacy", *arguments], input=stdin)


def refused(*arguments: str) -> str:
    """The sentence of a command that cannot be done."""
    result = assay(*arguments)
    assert isinstance(result.exception, AssayError) or type(result.exception).__module__ == "models.bundle.keys"
    return str(result.exception)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[PrivacyKey]:
    """Current and previous, made with the command and named in the settings."""
    made = []
    for number, setting in ((2, ""), (1, "PREVIOUS_")):
        assert assay("keygen", str(tmp_path / f"k{number}")).exit_code == 0
        file = tmp_path / f"k{number}.secret"
        assert file.stat().st_mode & 0o777 == 0o600
        monkeypatch.setenv(f"ASSAY_PSEUDONYM_{setting}KEY_FILE", str(file))
        monkeypatch.setenv(f"ASSAY_PSEUDONYM_{setting}KEY_ID", f"k{number}")
        made.append(PrivacyKey(f"k{number}", seal_key(file.read_text(), "").secret))
    return made


def test_payments_become_transactions_under_pseudonyms(keys: list[PrivacyKey], tmp_path: Path) -> None:
    """Only a transaction's fields are written; what else the line holds stays behind."""
    (tmp_path / "raw.csv").write_text(HEADER + "".join(ROWS))
    result = assay("pseudonyms", str(tmp_path / "raw.csv"), *OPTIONS, "--out", str(tmp_path / "out.jsonl"), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"written": 3, "refused": 0, "key_id": "k2"}
    text = (tmp_path / "out.jsonl").read_text()
    made = [json.loads(line) for line in text.splitlines()]
    assert [row["card_id"] for row in made] == [pseudonym(number, keys[0]) for number in (VISA, AMEX, VISA)]
    assert made[0] == {
        "transaction_id": "t-1",
        "event_time_ms": 1577836800000,
        "card_id": pseudonym(VISA, keys[0]),
        "terminal_id": "m-1",
        "amount": 12.5,
    }
    assert card_numbers_in(text) == []


def test_lines_of_json_pass_through_a_pipe(keys: list[PrivacyKey]) -> None:
    """stdin to stdout; a number in an unknown field, or as the id that was there, is not passed on."""
    row = {
        "transaction_id": "t",
        "event_time_ms": 1,
        "card_id": AMEX,
        "card_number": int(VISA),
        "terminal_id": "m",
        "amount": 1,
        "track2": f"{VISA}=2512",
    }
    result = assay("pseudonyms", "-", stdin=json.dumps(row) + "\n\n" + '{"card_number": "41111111111')
    assert result.exit_code == 1
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["card_id"] == pseudonym(VISA, keys[0])
    assert "line 3: no JSON object" in result.stderr
    assert VISA not in result.output
    assert AMEX not in result.output


@pytest.mark.parametrize(("row", "why"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_refused_line_is_told_by_its_number_alone(keys: list[PrivacyKey], tmp_path: Path, row: str, why: str) -> None:
    """Its neighbours are written, in both files; the exit status tells."""
    (tmp_path / "raw.csv").write_text(HEADER + ROWS[0] + row + ROWS[2])
    targets = (tmp_path / "new.jsonl", tmp_path / "old.jsonl")
    result = assay(
        *("pseudonyms", str(tmp_path / "raw.csv"), *OPTIONS, "--out", str(targets[0])),
        *("--previous-out", str(targets[1])),
    )
    assert result.exit_code == 1
    assert re.search(f"^line 3: .*{re.escape(why)}", result.stderr, re.MULTILINE)
    assert "2 written, 1 refused" in result.stderr
    for number in (VISA, AMEX, "4111111111111112"):
        assert number not in result.output
    for target, key in zip(targets, keys, strict=True):
        made = [json.loads(line) for line in target.read_text().splitlines()]
        assert [each["transaction_id"] for each in made] == ["t-1", "t-3"]
        assert {each["card_id"] for each in made} == {pseudonym(VISA, key)}


def test_keys_that_cannot_be_used_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None set, one that is none, the same twice."""
    for name in ("KEY", "KEY_FILE", "PREVIOUS_KEY", "PREVIOUS_KEY_ID"):
        monkeypatch.delenv(f"ASSAY_PSEUDONYM_{name}", raising=False)
    assert "ASSAY_PSEUDONYM_KEY is not set: make a key" in refused("pseudonyms", "-")
    monkeypatch.setenv("ASSAY_PSEUDONYM_KEY", "no secret at all")
    assert "no secret" not in refused("pseudonyms", "-")
    secret = "QUFB" * 10 + "QUE="
    monkeypatch.setenv("ASSAY_PSEUDONYM_KEY", secret)
    monkeypatch.setenv("ASSAY_PSEUDONYM_PREVIOUS_KEY", secret)
    assert "KEY_ID is not set" in refused("pseudonyms", "-", "--previous-out", str(tmp_path / "x"))
    monkeypatch.setenv("ASSAY_PSEUDONYM_PREVIOUS_KEY_ID", "k0")
    assert "the same key" in refused("pseudonyms", "-", "--previous-out", str(tmp_path / "x"))
    monkeypatch.setenv("ASSAY_PSEUDONYM_KEY_ID", "4111")
    assert "ASSAY_PSEUDONYM_KEY_ID is not usable" in refused("pseudonyms", "-")


def test_a_key_is_not_written_over(tmp_path: Path) -> None:
    """What it made would be lost."""
    assert assay("keygen", str(tmp_path / "k")).exit_code == 0
    assert "is left alone" in refused("keygen", str(tmp_path / "k"))


def test_erasing_asks_first_and_says_where_there_is_nothing_to_erase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 1: a mistyped id must not look like an erasure."""
    for name in ("KEY", "KEY_FILE"):
        monkeypatch.delenv(f"ASSAY_SUBJECT_{name}", raising=False)
    assert "set ASSAY_SUBJECT_KEY" in refused("erase", "k1:somebody", "--yes")
    assay("keygen", str(tmp_path / "subjects"))
    monkeypatch.setenv("ASSAY_SUBJECT_KEY_FILE", str(tmp_path / "subjects.secret"))
    monkeypatch.setenv("ASSAY_SUBJECT_SALTS_URL", str(tmp_path / "salts"))
    assert assay("erase", "k1:somebody", stdin="n\n").exit_code == 1
    result = assay("erase", "k1:somebody", "--yes", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["erased"] is False
    assert "somebody" not in result.output


def test_raw_payments_are_read_as_other_files_are(keys: list[PrivacyKey], tmp_path: Path) -> None:
    """Local dates, decimal commas, a currency; what is open is asked for before anything is written."""
    rows = f"t-1;31.12.2025 13:00;{VISA};m-1;1.234,50 EUR\nt-2;01.01.2026 13:00;{VISA};m-1;viel\n"
    (tmp_path / "raw.csv").write_text(HEADER.replace(",note", "").replace(",", ";") + rows)
    out = tmp_path / "out.jsonl"
    command = ("pseudonyms", str(tmp_path / "raw.csv"), *OPTIONS, "--out", str(out))
    result = assay(*command)
    assert "Column when holds times without a zone (first in line 2): say which zone" in str(result.exception)
    assert not out.exists()
    result = assay(*command, "--time-zone", "Europe/Berlin")
    assert (result.exit_code, result.stderr) == (1, "line 3: amount is no number: correct it\n1 written, 1 refused\n")
    (made,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert (made["amount"], made["event_time_ms"]) == (1234.5, 1767182400000)
