"""Prometheus and Grafana over the demo, where they are installed; a hint how, where they are not."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from models.installation import DEPLOY
from services.cli.running.children import Child

HOST = "127.0.0.1"

PROMETHEUS_HINT = (
    "Prometheus is not installed: `apt-get install prometheus` or `brew install prometheus`, then run this again."
)
GRAFANA_HINT = "Grafana is neither installed nor is a container engine at hand: https://grafana.com/grafana/download."
GRAFANA_HOMES = (
    "/usr/share/grafana",
    "/opt/homebrew/opt/grafana/share/grafana",
    "/usr/local/opt/grafana/share/grafana",
)
ENGINES = ("docker", "podman")
ENGINE_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Watchers:
    """What was started, and what to show the user: addresses and hints."""

    children: Sequence[Child]
    sentences: Sequence[str]


def start(directory: Path, targets: Mapping[str, Sequence[str]], prometheus_port: int, grafana_port: int) -> Watchers:
    """Start what is there. targets: addresses to scrape, by job."""
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        return Watchers([], [PROMETHEUS_HINT])
    config = directory / "prometheus.yaml"
    config.write_text(yaml.safe_dump(configuration(targets)), encoding="utf-8")
    command = [
        prometheus,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={HOST}:{prometheus_port}",
        "--enable-feature=exemplar-storage",
    ]
    children = [Child.start("prometheus", command, os.environ, directory / "prometheus.log")]
    sentences = [f"Prometheus: http://{HOST}:{prometheus_port}"]
    found = grafana(directory, grafana_port)
    if found is None:
        sentences.append(GRAFANA_HINT)
    else:
        environment = {**os.environ, **grafana_environment(prometheus_port, grafana_port)}
        children.append(Child.start("grafana", found, environment, directory / "grafana.log"))
        sentences.append(f"Grafana: http://{HOST}:{grafana_port}/d/assay-operations (ready within a minute)")
    return Watchers(children, sentences)


def configuration(targets: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Prometheus' own: the jobs under the names that the dashboards use, and the rules."""
    jobs = [{"job_name": job, "static_configs": [{"targets": list(found)}]} for job, found in targets.items()]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
        "rule_files": [str(DEPLOY / "prometheus" / "rules" / "*.yaml")],
        "scrape_configs": jobs,
    }


def grafana_environment(prometheus_port: int, grafana_port: int) -> dict[str, str]:
    """Grafana's settings: our provisioning, no login, nothing sent anywhere."""
    return {
        "ASSAY_PROMETHEUS_URL": f"http://{HOST}:{prometheus_port}",
        "ASSAY_ALERTMANAGER_URL": f"http://{HOST}:9093",
        "ASSAY_DASHBOARDS": str(DEPLOY / "grafana" / "dashboards"),
        "GF_PATHS_PROVISIONING": str(DEPLOY / "grafana" / "provisioning"),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(grafana_port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }


def grafana(directory: Path, port: int) -> list[str] | None:
    """The command that starts Grafana: its own binary, else a container with this machine's network; None without either."""
    home = next((home for home in GRAFANA_HOMES if Path(home).is_dir()), None)
    if (binary := shutil.which("grafana")) and home:
        return [binary, "server", "--homepath", home, f"cfg:paths.data={directory / 'grafana'}"]
    for engine in filter(shutil.which, ENGINES):
        if _answers(engine):
            environment = grafana_environment(0, port)
            passed = [argument for name in environment for argument in ("--env", name)]
            mounted = ["--volume", f"{DEPLOY / 'grafana'}:{DEPLOY / 'grafana'}:ro"]
            image = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["grafana"][
                "image"
            ]
            return [engine, "run", "--rm", "--network", "host", *passed, *mounted, image]
    return None


def _answers(engine: str) -> bool:
    """Whether the engine's daemon is there, not only its client."""
    try:
        done = subprocess.run([engine, "info"], capture_output=True, check=False, timeout=ENGINE_S_MAX)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
