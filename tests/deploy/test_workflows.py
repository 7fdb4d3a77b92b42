"""What publishes: pinned, without a kept secret, with no more rights than each job needs, and of files that are there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
HOSTS = {"ghcr.io"}
"""What anyone can reach. Of a host of one's own, the address would be no one else's business."""
HOST = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:io|com|org|net|dev|internal|local|cloud|ai)\b")
RIGHTS = {"contents", "packages", "id-token", "attestations"}

Job = dict[str, Any]


def loaded(path: Path) -> dict[Any, Any]:
    """As GitHub reads it, but for `on`, which YAML 1.1 takes for a truth."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def jobs(path: Path) -> dict[str, Job]:
    """By their names."""
    found: dict[str, Job] = loaded(path)["jobs"]
    return found


def test_there_is_one_that_publishes() -> None:
    """At a version's tag alone, and only what was tested."""
    (path,) = WORKFLOWS
    assert loaded(path)[True] == {"push": {"tags": ["v*"]}}
    needed = {name: job.get("needs") for name, job in jobs(path).items()}
    assert needed == {"test": None, "wheel": "test", "index": "wheel", "images": "test", "chart": "images"}
    assert [step["run"] for step in jobs(path)["test"]["steps"] if "run" in step][-1] == ".ci/run"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    """A tag can be moved to other code; beside it stands the version, for people and for what proposes updates."""
    uses = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert len(uses) >= 10
    assert [use for use in uses if not re.fullmatch(r"[a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []
    pins = {use.split("@")[0]: use for use in uses}
    assert {pins[use.split("@")[0]] for use in uses} == set(uses)  # of each action one version


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_secret_is_kept_and_no_host_of_ones_own_is_named(path: Path) -> None:
    """What a run needs is its own token, which ends with it."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"secrets[.\[]|inherit", text)
    assert not re.search(r"BEGIN [A-Z ]*KEY|gh[ps]_\w{20}|pypi-\w{20}|cosign\.key", text)
    assert set(HOST.findall(text)) <= HOSTS
    for job in jobs(path).values():
        for step in job["steps"]:
            # what a person may choose, such as a tag's name, must not be put into a script's text
            assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_job_may_what_it_needs_and_ends(path: Path) -> None:
    """Nothing by default; only those that write say so, and no checkout leaves the token behind."""
    assert loaded(path)["permissions"] == {}
    for name, job in jobs(path).items():
        assert set(job["permissions"]) <= RIGHTS
        assert job["timeout-minutes"] <= 150
        writes = {right for right, value in job["permissions"].items() if value == "write"}
        assert bool(writes) == (name != "test")
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_what_is_published_is_signed_and_says_what_is_in_it() -> None:
    """Wheel, images and chart by the run's identity; images with provenance and a bill of materials."""
    (path,) = WORKFLOWS
    for name in ("wheel", "images", "chart"):
        steps = jobs(path)[name]["steps"]
        assert "id-token" in jobs(path)[name]["permissions"]
        assert any("cosign sign" in step.get("run", "") for step in steps), name
    (build,) = (step["with"] for step in jobs(path)["images"]["steps"] if step.get("id") == "build")
    assert (build["provenance"], build["sbom"], build["push"]) == ("mode=max", True, True)


def test_it_builds_what_is_there() -> None:
    """Dockerfiles, locks, chart; the chart asks for an image by the tag that is pushed."""
    (path,) = WORKFLOWS
    text = path.read_text(encoding="utf-8")
    built = {one["flavour"]: one["dockerfile"] for one in jobs(path)["images"]["strategy"]["matrix"]["include"]}
    assert set(built.values()) == {
        str(file.relative_to(ROOT)) for file in (ROOT / "deploy/containers").glob("*ockerfile")
    }
    helpers = (ROOT / "deploy/helm/assay/templates/_helpers.tpl").read_text(encoding="utf-8")
    assert {*re.findall(r'ternary "(\w+)" "(\w+)"', helpers)[0], "slim"} == set(built)
    for lock in re.findall(r"deploy/locks/[a-z-]+\.txt", text):
        assert (ROOT / lock).is_file(), lock
    assert (ROOT / "deploy/helm/assay/Chart.yaml").is_file()
    assert (ROOT / ".ci/run").is_file()
