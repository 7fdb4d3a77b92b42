"""`assay bundle report`: where a bundle's report lies, and nothing that was not checked."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.bundle.files import REPORT, BundleError
from models.bundle.load import load_bundle
from models.bundle.pack import pack_bundle
from services.cli.app import app
from services.cli.bundles.bundle_report import ReportError

PAGE = b"<!doctype html><title>fine</title>"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The committed bundle with a report."""
    loaded = load_bundle(Path("deploy/bundles/fraud"))
    pack_bundle(tmp_path / "bundle", loaded.manifest, loaded.model, loaded.reference, PAGE)
    return tmp_path / "bundle"


def test_it_says_where_the_report_lies(bundle: Path) -> None:
    """For a person one line, for a program one line of JSON."""
    assert CliRunner().invoke(app, ["bundle", "report", str(bundle)]).output == f"{bundle / REPORT}\n"
    told = json.loads(CliRunner().invoke(app, ["bundle", "report", str(bundle), "--json"]).output)
    assert told == {"report": str(bundle / REPORT), "bytes": len(PAGE)}


def test_it_writes_a_copy_and_opens_it_where_asked(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser gets the copy's address."""
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    copy = tmp_path / "copy.html"
    assert CliRunner().invoke(app, ["bundle", "report", str(bundle), "--out", str(copy), "--open"]).exit_code == 0
    assert copy.read_bytes() == PAGE
    assert opened == [copy.as_uri()]


def test_a_bundle_without_a_report_and_a_place_that_is_none_are_one_sentence(bundle: Path, tmp_path: Path) -> None:
    """Each says what to do or what is wrong."""
    loaded = load_bundle(bundle)
    pack_bundle(tmp_path / "bare", loaded.manifest, loaded.model, loaded.reference)
    bare = CliRunner().invoke(app, ["bundle", "report", str(tmp_path / "bare")])
    assert isinstance(bare.exception, ReportError)
    assert "train it again" in str(bare.exception)
    nowhere = CliRunner().invoke(app, ["bundle", "report", str(bundle), "--out", str(tmp_path / "no" / "copy.html")])
    assert str(nowhere.exception) == f"{tmp_path / 'no' / 'copy.html'} cannot be written: No such file or directory."


def test_a_changed_report_is_not_shown(bundle: Path) -> None:
    """It would be somebody else's words under the bundle's name."""
    (bundle / REPORT).write_bytes(PAGE + b"!")
    refused = CliRunner().invoke(app, ["bundle", "report", str(bundle)])
    assert isinstance(refused.exception, BundleError)
    assert refused.output == ""


def test_the_report_of_a_sealed_bundle_is_written_out(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened in memory with the configured key; without a place to write to, a sentence."""
    sealed, copy, key = (tmp_path / name for name in ("bundle.sealed", "copy.html", "bank"))
    assert CliRunner().invoke(app, ["bundle", "keygen", str(key), "--seal"]).exit_code == 0
    monkeypatch.setenv("ASSAY_BUNDLE_SEAL_KEY_FILE", f"{key}.seal")
    assert CliRunner().invoke(app, ["bundle", "seal", str(bundle), str(sealed)]).exit_code == 0
    assert CliRunner().invoke(app, ["bundle", "report", str(sealed), "--out", str(copy)]).exit_code == 0
    assert copy.read_bytes() == PAGE
    nowhere = CliRunner().invoke(app, ["bundle", "report", str(sealed)])
    assert "say with --out" in str(nowhere.exception)
