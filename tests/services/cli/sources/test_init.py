"""`assay init`: a folder from a source spec, whose features fit it and are computed."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.features.spec_file import load_spec
from models.sources.fits import misfit
from models.sources.spec_file import load_source
from services.cli.app import app
from tests.services.cli.test_app import run_main
from tests.streams import wallets
from tests.streams.behaviour import facts

SPEC = """
version: 1
topic: shop.payments
event:
  id: {path: ref}
  time: {path: at, format: iso8601}
  subject: {path: payer.account}
  counterparty: {path: payee}
  amount: {path: money.value, at_least: -1e6}
  currency: {path: money.currency}
attributes:
  status: {type: category, path: status}
  city: {type: category, path: city}
  device: {type: id, path: device, required: true}
  address: {type: ip, path: ip, personal: true}
  place: {type: geo, latitude: lat, longitude: lon}
  opened: {type: time, path: opened, unit: s}
  present: {type: flag, path: present}
  risk: {type: number, path: risk}
  note: {type: text, path: note}
"""


def payment(number: int) -> dict[str, object]:
    """One that has everything."""
    return {
        "ref": f"r-{number}",
        "at": f"2026-03-01T10:{number % 60:02d}:00Z",
        "payer": {"account": f"a-{number % 7}"},
        "payee": f"p-{number % 3}",
        "money": {"value": f"{number}.50", "currency": "USD" if number % 10 == 0 else "EUR"},
        "status": "no" if number % 4 == 0 else "AUTHORISED: yes",
        "city": f"city {number}",
        "device": f"d-{number % 5}",
        "ip": "192.0.2.7",
        "lat": 48.1,
        "lon": 11.5,
        "opened": 1_600_000_000,
        "present": True,
        "risk": 0.5,
        "note": "for people",
    }


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    """A source spec, and a sample of a hundred payments."""
    spec, sample = tmp_path / "given.yaml", tmp_path / "payments.jsonl"
    spec.write_text(SPEC)
    sample.write_text("".join(json.dumps(payment(number)) + "\n" for number in range(100)))
    return spec, sample


def test_the_proposed_features_fit_the_source_and_read_what_models_may_read(
    inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each attribute in the way of its type; a text, which is for people, in none. Categories are learnt; one of many values
    is met, too.
    """
    folder = tmp_path / "shop"
    given = ("init", str(folder), "--source", str(inputs[0]), "--sample", str(inputs[1]))
    assert run_main(monkeypatch, *given) == 1
    assert "amounts are in EUR (90), USD (10)" in " ".join(capsys.readouterr().err.split())
    assert not folder.exists()
    assert run_main(monkeypatch, *given, "--rates", "USD=0.9") == 0
    spec = load_spec(folder / "features.yaml", may_learn=True)
    assert spec.open_categories == ("status", "city")
    assert misfit(spec, load_source(folder / "source.yaml")) is None
    kinds = {feature.name: feature.kind for feature in spec.features}
    assert {name: kinds.get(name) for name in ("status", "present", "risk", "since_opened", "place_speed")} == {
        "status": "category", "present": "flag", "risk": "number", "since_opened": "between", "place_speed": "place",
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind == "novelty"} == {
        f"{way}"
        for name in ("counterparty", "city", "device", "address_network")
        for way in (f"new_{name}", f"{name}_met")
    }
    assert not any("note" in name for name in kinds)
    assert spec.currencies is not None
    assert (spec.currencies.only, spec.currencies.rates) == ("EUR", {"USD": 0.9})
    assert run_main(monkeypatch, *given, "--rates", "EUR=1.1", "--overwrite") == 0
    assert "currencies: {only: USD, rates: {EUR: 1.1}}" in (folder / "features.yaml").read_text()


def test_a_folder_that_is_worked_in_is_not_written_over(
    inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless that is said."""
    given = ("init", str(tmp_path / "shop"), "--source", str(inputs[0]), "--sample", str(inputs[1]), "--rates", "none")
    assert run_main(monkeypatch, *given) == 0
    (tmp_path / "shop/features.yaml").write_text("mine")
    assert run_main(monkeypatch, *given) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "shop/features.yaml").read_text() == "mine"
    assert run_main(monkeypatch, *given, "--overwrite") == 0
    assert load_spec(tmp_path / "shop/features.yaml", may_learn=True).features


@pytest.fixture
def transfers(tmp_path: Path) -> Path:
    """A file of labelled transfers, both of whose sides are wallets."""
    path = tmp_path / "transfers.jsonl"
    found = wallets.records(facts(1, subjects=30, rounds=20), labelled=True)
    path.write_bytes(b"".join(value + b"\n" for _, value in found))
    return path


def test_what_is_ambiguous_is_asked_and_no_folder_is_made_until_it_is_answered(
    transfers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which wallet is the subject. The file is the labelled one, too: its label and its days are in the commands."""
    folder = tmp_path / "shop"
    assert run_main(monkeypatch, "init", str(folder), "--from", str(transfers)) == 1
    assert "--subject wallet" in capsys.readouterr().err
    assert not folder.exists()
    assert run_main(monkeypatch, "init", str(folder), "--from", str(transfers), *wallets.ANSWERS) == 0
    readme, source = (folder / "README.md").read_text(), load_source(folder / "source.yaml")
    assert "--data ../transfers.jsonl" in readme
    assert "--label reported_fraud --validation-days 3 --delay-days 1 --test-days 3" in readme
    assert (source.event.subject.path, source.event.amount.scale, source.event.amount.at_least) == ("wallet", 2, -1e9)
    names = set(load_spec(folder / "features.yaml", may_learn=True).names)
    assert {"new_client_ip_network", "new_bank_country", "bank_country", "new_handset"} <= names


def test_every_command_of_the_readme_is_one_with_these_options(
    inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each command's own `--help`; the slow tests type them."""
    folder = tmp_path / "shop"
    given = (
        "init",
        str(folder),
        "--source",
        str(inputs[0]),
        "--sample",
        str(inputs[1]),
        "--label",
        "fraud",
        "--rates",
        "none",
    )
    assert run_main(monkeypatch, *given) == 0
    lines = re.findall(r"^ {4,}(?:\w+=\S+ )*assay (.+)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 10
    for line in lines:
        words = [word for word in line.split()[:2] if re.fullmatch(r"[a-z]+", word)]
        words = words[:1] if words[0] in ("run", "tail", "verify", "batch") else words
        page = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, [*words, "--help"])
        assert page.exit_code == 0, line
        assert all(option in page.output for option in re.findall(r" (--[a-z-]+)", line)), line


def test_a_folder_is_made_of_a_stream_or_of_a_spec(
    inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not of both, nor of neither; and a label that the file has not is named."""
    folder = str(tmp_path / "shop")
    assert run_main(monkeypatch, "init", folder) == 2
    assert run_main(monkeypatch, "init", folder, "--from", str(inputs[1]), "--source", str(inputs[0])) == 2
    assert capsys.readouterr().err.count("give one of them") == 2
    given = ("--source", str(inputs[0]), "--sample", str(inputs[1]), "--labelled", str(inputs[1]), "--rates", "none")
    assert run_main(monkeypatch, "init", folder, *given) == 2
    assert "name it with --label" in " ".join(capsys.readouterr().err.split())
    assert run_main(monkeypatch, "init", folder, *given, "--label", "fraud") == 2
    assert "--label fraud" in capsys.readouterr().err
