"""`assay bundle`: what a person does with a bundle, from the key to the seal."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.scoring.session import ModelSession
from services.cli.app import app
from tests.models.bundle.making import COMMITTED, version_of
from tests.services.cli.test_app import run_main


def assay(*arguments: str | Path) -> Any:
    """What `assay bundle ... --json` prints."""
    done = CliRunner().invoke(app, ["bundle", *map(str, arguments), "--json"])
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return json.loads(done.stdout)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Version 2, unsigned."""
    version_of(tmp_path / "bundle", 2)
    return tmp_path / "bundle"


def test_keygen_sign_verify_and_a_changed_byte(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way of a release; then the bundle is tampered with, and the sentence says what was."""
    key = assay("keygen", tmp_path / "release")
    signed = assay("sign", bundle, "--key", tmp_path / "release.key")
    assert signed["signed_by"] == key["fingerprint"]
    verified = assay("verify", bundle, "--key", tmp_path / "release.pub")
    assert verified["digest"] == signed["digest"]
    assert verified["golden_difference"] == 0.0
    assert run_main(monkeypatch, "bundle", "verify", str(bundle)) == 2
    assert "none of the keys pinned here" in capsys.readouterr().err
    (bundle / "reference.json").write_bytes((bundle / "reference.json").read_bytes() + b" ")
    assert run_main(monkeypatch, "bundle", "verify", str(bundle), "--key", str(tmp_path / "release.pub")) == 2
    assert "reference.json is not as it was signed" in capsys.readouterr().err
    assert run_main(monkeypatch, "bundle", "keygen", str(tmp_path / "release")) == 2
    assert "left alone" in capsys.readouterr().err


def test_a_first_signature_makes_its_key_pair_and_a_second_one_takes_it(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that is there is never replaced, and one of the two ways has to be given."""
    signed = assay("sign", bundle, "--new-key", tmp_path / "release")
    assert assay("verify", bundle, "--key", tmp_path / "release.pub")["digest"] == signed["digest"]
    assert run_main(monkeypatch, "bundle", "sign", str(bundle), "--new-key", str(tmp_path / "release")) == 2
    assert "--key" in capsys.readouterr().err
    assert run_main(monkeypatch, "bundle", "sign", str(bundle)) == 2
    assert "--new-key NAME" in capsys.readouterr().err
    assert assay("sign", bundle, "--key", tmp_path / "release.key")["signed_by"] == signed["signed_by"]


@pytest.mark.parametrize("way", ["file", "environment", "command"])
def test_seal_and_open_with_the_key_from_anywhere(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """File, environment, or what a command prints; what comes out is what went in."""
    key = assay("keygen", tmp_path / "bank", "--seal")
    path = tmp_path / "bank.seal"
    monkeypatch.setenv(
        *{
            "file": ("ASSAY_BUNDLE_SEAL_KEY_FILE", str(path)),
            "environment": ("ASSAY_BUNDLE_SEAL_KEY", path.read_text()),
            "command": ("ASSAY_BUNDLE_SEAL_KEY_COMMAND", f"cat '{path}'"),
        }[way]
    )
    sealed = assay("seal", bundle, tmp_path / "out.sealed")
    assert sealed["key_id"] == key["key_id"]
    assert b"probability" not in (tmp_path / "out.sealed").read_bytes()
    opened = assay("open", tmp_path / "out.sealed", tmp_path / "opened")
    assert opened["digest"] == sealed["digest"] == assay("inspect", tmp_path / "out.sealed")["digest"]
    assert {f.name: f.read_bytes() for f in bundle.iterdir()} == {
        f.name: f.read_bytes() for f in (tmp_path / "opened").iterdir()
    }


@pytest.mark.parametrize("command", ["false", "no-such-command", "echo secret-but-no-key"])
def test_a_key_command_that_gives_no_key_is_one_sentence_without_what_it_printed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """What it printed may be a secret."""
    monkeypatch.setenv("ASSAY_BUNDLE_SEAL_KEY_COMMAND", command)
    assert run_main(monkeypatch, "bundle", "seal", str(bundle), str(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "ASSAY_BUNDLE_SEAL_KEY_COMMAND" in said
    assert "secret" not in said


def test_inspect_tells_owner_licence_use_and_origin() -> None:
    """Of the committed bundle, which is signed with the key that is pinned."""
    found = assay("inspect", COMMITTED)
    assert {"owner", "licence", "permitted_use", "thresholds", "features", "metrics"} <= found.keys()
    assert "which is pinned here" in found["signature"]
    assert len(found["origin"]["data_digest"]) == 64


def test_diff_shows_what_changed_and_nothing_else(bundle: Path, tmp_path: Path) -> None:
    """Version, digest and scores of another graph; of a copy nothing."""
    shutil.copytree(bundle, tmp_path / "copy")
    assert assay("diff", bundle, tmp_path / "copy") == {}
    version_of(tmp_path / "other", 3, other=True)
    found = assay("diff", bundle, tmp_path / "other", "--run-untrusted")
    assert found["version"] == {"old": 2, "new": 3}
    assert found["mean probability of 16 payments"]["old"] < found["mean probability of 16 payments"]["new"]
    assert "owner" not in found


def test_diff_and_golden_run_no_graph_that_no_trusted_key_has_signed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifests are compared all the same; with both signed and the key pinned, the scores too."""
    version_of(tmp_path / "other", 3, other=True)
    sessions: list[object] = []
    real = ModelSession.__init__
    monkeypatch.setattr(ModelSession, "__init__", lambda *a, **k: (sessions.append(a), real(*a, **k))[1])
    assert run_main(monkeypatch, "bundle", "diff", str(bundle), str(tmp_path / "other"), "--json") == 0
    shown = capsys.readouterr()
    assert "mean probability" not in shown.out
    assert '"version"' in shown.out
    assert "--run-untrusted" in shown.err
    assert "not compared" in shown.err
    assert run_main(monkeypatch, "bundle", "golden", str(bundle)) == 2
    assert "--run-untrusted" in capsys.readouterr().err
    assert sessions == []
    assay("keygen", tmp_path / "k")
    for path in (bundle, tmp_path / "other"):
        assay("sign", path, "--key", tmp_path / "k.key")
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", str(tmp_path / "k.pub"))
    assert "mean probability of 16 payments" in assay("diff", bundle, tmp_path / "other")


def test_golden_rows_are_added_and_the_signature_falls(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is signed is what was checked."""
    assay("keygen", tmp_path / "k")
    assay("sign", bundle, "--key", tmp_path / "k.key")
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", str(tmp_path / "k.pub"))
    assert assay("golden", bundle)["golden_rows"] == 16
    assert not (bundle / "model.sig").exists()
    assert assay("inspect", bundle)["signature"] == "none"
