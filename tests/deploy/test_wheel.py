"""The built wheel: its bytes, what is in it, and its commands in an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, by the build system that is installed."""
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


def built(sources: Path, out: Path) -> Path:
    """The wheel of a folder of sources."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(out), str(sources)], check=True, timeout=120)
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


def test_an_index_would_take_a_wheel_and_show_its_page(wheel: Path) -> None:
    """Nothing in it that should not be, and a README that renders."""
    for command in (["check-wheel-contents"], ["twine", "check", "--strict"]):
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [program, *command[1:], wheel], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_wheel_has_the_same_bytes_wherever_and_whenever_it_is_built(wheel: Path, tmp_path: Path) -> None:
    """Of a copy in another folder, with other times and other rights of its files."""
    needed = ("pyproject.toml", "README.md", "LICENSE", "models", "schemas", "services", "deploy", "docs")
    (tmp_path / "copy").mkdir()
    for name in needed:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, tmp_path / "copy" / name)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.chmod(0o600 | path.stat().st_mode & 0o100)
            os.utime(path, (1, 1_000_000_000))
    assert built(tmp_path / "copy", tmp_path / "out").read_bytes() == wheel.read_bytes()


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
