"""`assay init`: the folder's specs fit each other and the data, and its commands are ones that there are."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.features.spec_file import load_spec
from models.sources.fits import misfit
from models.sources.spec_file import load_source
from services.cli.app import app
from tests.models.discovery.making import events
from tests.services.cli.test_app import run_main


def file_of(tmp_path: Path) -> Path:
    """Events with an attribute of each common type, refunds and a label."""
    path = tmp_path / "events.jsonl"
    records = events(
        400,
        amount=lambda i: f"{'-' if i % 40 == 7 else ''}{i % 90}.25",
        device=lambda i: {"id": f"{i % 80:08x}", "ip": f"10.0.0.{i % 200}", "rooted": i % 9 == 0},
        entry=lambda i: ("chip", "manual")[i % 2],
        basket=lambda i: i % 50 + 0.5,
        account=lambda i: {"opened": f"2019-03-{i % 27 + 1:02d}T00:00:00Z"},
        isFraud=lambda i: i % 50 == 0,
    )
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def test_a_folder_is_made_whose_specs_read_the_file(tmp_path: Path) -> None:
    """Features are built by them as the README's specs stand; each of the README's commands takes its options."""
    path, folder = file_of(tmp_path), tmp_path / "payments"
    made = CliRunner().invoke(app, ["init", str(folder), "--from", str(path), "--time", "time"])
    assert made.exit_code == 0, made.output
    source, features = load_source(folder / "source.yaml"), load_spec(folder / "features.yaml")
    assert misfit(features, source) is None
    assert {"new_counterparty", "new_device_id", "ip_private", "rooted_value", "basket_value"} <= set(features.names)
    assert "is_fraud" not in source.attributes
    readme = (folder / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    for line in block.splitlines():
        words = [word for word in shlex.split(line) if not word.startswith("ASSAY_")]
        assert words[0] == "assay"
        helped = CliRunner().invoke(app, [*[word for word in words[1:3] if word.isalpha()], "--help"])
        assert helped.exit_code == 0, line
        assert all(option in helped.output for option in words if option.startswith("--")), line
    assert "--label isFraud" in block
    options = ["--spec", str(folder / "features.yaml"), "--source", str(folder / "source.yaml"), "--processes", "1"]
    built = CliRunner().invoke(app, ["features", "build", str(path), str(tmp_path / "f.parquet"), *options, "--json"])
    assert built.exit_code == 0, built.output
    assert json.loads(built.stdout.splitlines()[-1])["rows"] == 400


def test_an_open_question_makes_nothing_and_a_folder_in_use_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says what to do."""
    path, folder = tmp_path / "events.jsonl", tmp_path / "payments"
    path.write_text("\n".join(map(json.dumps, events(200, amount=lambda i: 100 + i))))
    assert run_main(monkeypatch, "init", str(folder), "--from", str(path)) == 1
    assert "--amount-scale 2" in capsys.readouterr().err
    assert not folder.exists()
    assert run_main(monkeypatch, "init", str(folder), "--from", str(path), "--amount-scale", "2") == 0
    assert run_main(monkeypatch, "init", str(folder), "--source", str(folder / "source.yaml")) == 2
    assert "not empty" in capsys.readouterr().err
    assert run_main(monkeypatch, "init", str(tmp_path / "other")) == 2
    assert run_main(monkeypatch, "init", str(tmp_path / "other"), "--source", str(folder / "source.yaml")) == 0
    assert load_source(tmp_path / "other" / "source.yaml") == load_source(folder / "source.yaml")
