"""A real Prometheus over whatever is to be scraped, with the rules that users get."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"
WAIT_S_MAX = 90.0
VARIABLES = {"$__rate_interval": "10s", "$__range": "5m", "$job": ".*"}
"""As a dashboard would fill them in; scraping every second, ten seconds are enough for a rate."""


def needed(program: str) -> str:
    """Where the program is; without it the test is skipped."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install prometheus brings it")
    return found


class Prometheus:
    """Runs until closed."""

    def __init__(self, directory: Path, targets: Mapping[str, list[str]]) -> None:
        """targets: addresses by job."""
        program = needed("prometheus")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "2s"},
            "rule_files": [str(RULES / "*.yaml")],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()
            ],
        }
        file = directory / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config))
        self._log = directory / "prometheus.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={file}",
                    f"--storage.tsdb.path={directory / 'prometheus'}",
                    f"--web.listen-address={self.address}",
                    "--enable-feature=exemplar-storage",
                ],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.until(self._is_ready, "Prometheus is not ready")

    def until(self, done: Callable[[], bool], otherwise: str) -> None:
        """Wait for something."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not done():
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str, **arguments: str) -> Any:
        """The data of an answer of its API."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{arguments}: {error.read().decode()}") from None

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Samples that an expression gives now; NaN, which a panel would not draw, is none."""
        for variable, value in VARIABLES.items():
            expr = expr.replace(variable, value)
        result = self.get("query", query=expr)["result"]
        return [sample for sample in result if sample["value"][1] != "NaN"]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
