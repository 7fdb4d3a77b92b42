"""The built wheel, in an empty virtual environment and an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, by the build system that is installed."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(out), str(ROOT)], check=True, timeout=120)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked; what it depends on comes from the environment of the tests."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def assay(installed: Path, folder: Path, *arguments: str) -> str:
    """What a command of the wheel's code prints in a folder. No setting of ours reaches it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "services.cli", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_what_the_commands_read_and_nothing_of_the_tests(wheel: Path) -> None:
    """Also the mark that its types are for others."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"models/py.typed", "schemas/py.typed", "services/py.typed"} <= set(names)
    assert "services/installed/deploy/bundles/fraud/manifest.json" in names
    assert "services/installed/deploy/grafana/dashboards/assay-operations.json" in names
    assert not [name for name in names if name.startswith(("tests/", "deploy/", "docs/")) or ".key" in name]


def test_what_a_wheel_installs_is_found_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """Its own bundle, keys, feature specs and figures, and not the checkout's."""
    shown = assay(installed, tmp_path, "bundle", "inspect", "--json", str(shipped(installed, tmp_path)))
    assert json.loads(shown)
    assert "processes" in assay(installed, tmp_path, "capacity", "--rate", "20000")


def test_the_tutorials_stream_comes_with_a_wheel_and_replaces_no_file(installed: Path, tmp_path: Path) -> None:
    """A reader of the site has no checkout to take it from."""
    assay(installed, tmp_path, "example")
    made = (tmp_path / "stream.py").read_text(encoding="utf-8")
    assert made == (ROOT / "docs/examples/tutorial/stream.py").read_text(encoding="utf-8")
    (tmp_path / "stream.py").write_text("mine", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"stream\.py is there already: name another file with --out\."):
        assay(installed, tmp_path, "example")
    assert (tmp_path / "stream.py").read_text(encoding="utf-8") == "mine"


def shipped(installed: Path, folder: Path) -> Path:
    """Where the installed code looks for the demo's bundle."""
    script = "from models.installation import DEPLOY; print(DEPLOY / 'bundles' / 'fraud')"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", script]
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    assert found.startswith(str(installed))
    return Path(found.strip())


@pytest.mark.slow
def test_the_demo_runs_from_a_wheel_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """Kafka, traffic, scores and the check of them."""
    last = json.loads(assay(installed, tmp_path, "demo", "--duration", "5", "--rate", "500", "--json"))
    assert last["scored"] + last["dead_letters"] == 2500
