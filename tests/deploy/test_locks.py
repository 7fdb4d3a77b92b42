"""The locks: every version with its hashes, the versions that are tested, nothing undeclared and no address."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "locks"
HASHED = sorted(path.name for path in FOLDER.glob("*.txt") if path.name != "constraints.txt")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
IMAGE = ("formats", "store", "side", "trace")
EXTRAS = {
    "demo.txt": ("cpu", "broker", "console", "side"),
    "image.txt": ("cpu", *IMAGE),
    "image-gpu.txt": ("cuda", *IMAGE),
    "all.txt": tuple(extra for extra in PROJECT["project"]["optional-dependencies"] if extra not in ("gpu", "cuda")),
}


def locked(name: str) -> dict[str, str]:
    """Version by distribution, and every entry seen to have a hash."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    found = {}
    for entry in text.replace("\\\n", " ").splitlines():
        matched = re.fullmatch(r"([a-z0-9._-]+)==(\S+)( ; [^#]+?)?(?: +--hash=sha256:[0-9a-f]{64})+", entry.rstrip())
        assert matched, f"{name}: {entry[:80]}"
        found[matched[1]] = matched[2]
    return found


@pytest.mark.parametrize("name", HASHED)
def test_every_version_has_its_hashes_and_is_the_one_that_is_tested(name: str) -> None:
    """`make hashes` writes them; an address of an index or a file would not be one of such lines."""
    tested = dict(
        line.lower().replace("_", "-").split("==")
        for line in (FOLDER / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    versions = locked(name)
    assert versions
    assert {key: version for key, version in versions.items() if tested.get(key, version) != version} == {}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_holds_what_its_extras_ask_for(name: str) -> None:
    """And so installs with --no-deps."""
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    wanted += [need for extra in EXTRAS[name] for need in project["optional-dependencies"][extra]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ]", need)[0]).lower() for need in wanted}
    assert names - set(locked(name)) == set()


def test_what_builds_assay_is_locked_too() -> None:
    """The build requirement is exactly the version whose hash is known."""
    assert PROJECT["build-system"]["requires"] == [f"hatchling=={locked('build.txt')['hatchling']}"]


def test_every_lock_is_one_that_something_installs_from() -> None:
    """A lock that nothing reads would be out of date unseen."""
    readers = [ROOT / "Makefile", *(ROOT / "deploy/containers").glob("*ockerfile")]
    text = "".join(path.read_text(encoding="utf-8") for path in readers)
    used = set(re.findall(r"locks/([a-z-]+)\.txt|\(LOCKS\)/([a-z-]+)\.txt|call INSTALL,([a-z]+)", text))
    assert {f"{next(filter(None, match))}.txt" for match in used} == {*HASHED, "constraints.txt"}


def test_the_makefile_installs_by_hash_alone() -> None:
    """Every pip of it but the one that resolves new versions."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    calls = re.findall(r"\$\(PIP_INSTALL\) [^&\n]+|pip install (?!--quiet --disable-pip-version-check\n)[^&\n]+", text)
    loose = [call for call in calls if "--require-hashes" not in call and "--no-index" not in call]
    assert len(calls) >= 6
    assert [call.split()[1:3] for call in loose] == [
        ["--editable", "'.[cpu,broker,files,formats,store,gateway,grpc,console,side,train,trees,bench,trace,dev]'"]
    ]
