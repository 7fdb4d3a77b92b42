"""Prometheus and Grafana over the demo: what is started where they are installed, what is said where they are not."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from services.cli.demo import dashboards

TARGETS = {"assay-scorer": ["127.0.0.1:1"]}


def path_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """A PATH that holds these programs only, each a line of shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_without_prometheus_nothing_is_started_and_the_way_to_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with the command."""
    path_of(tmp_path, monkeypatch)
    watchers = dashboards.start(tmp_path, TARGETS, 1, 2)
    assert watchers.children == []
    assert watchers.sentences == [dashboards.PROMETHEUS_HINT]


def test_an_engine_whose_daemon_is_away_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client alone cannot start a container."""
    monkeypatch.setattr(dashboards, "GRAFANA_HOMES", ())
    path_of(tmp_path, monkeypatch, docker="exit 1")
    assert dashboards.grafana(tmp_path, 2) is None


def test_a_container_gets_our_provisioning_under_the_paths_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dashboards and data source are where the environment says."""
    monkeypatch.setattr(dashboards, "GRAFANA_HOMES", ())
    path_of(tmp_path, monkeypatch, docker="exit 0")
    command = dashboards.grafana(tmp_path, 2)
    assert command is not None
    mounted = command[command.index("--volume") + 1].split(":")[1]
    environment = dashboards.grafana_environment(1, 2)
    for name in ("ASSAY_DASHBOARDS", "GF_PATHS_PROVISIONING"):
        assert environment[name].startswith(mounted)
        assert name in command
    assert command[-1].startswith("grafana/grafana:")


def test_the_real_prometheus_takes_the_configuration(tmp_path: Path) -> None:
    """Jobs under the dashboards' names, and the rules of the repository."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus brings it")
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(dashboards.configuration(TARGETS)))
    done = subprocess.run([promtool, "check", "config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "assay-scorer" in file.read_text()
