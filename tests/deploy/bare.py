"""`make test-containers`: each command of deploy/compose.yaml as its container would run it, without a container engine.

A fresh venv, installed as deploy/containers/Dockerfile does; the files that it copies; the environment that image and compose
file give, and no other. Only broker, user, folders and addresses are those of this machine.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from services.broker import EmbeddedKafka
from tests.deploy.ports import PORTS

ROOT = Path(__file__).parents[2]
COPIED = ("deploy/bundles", "deploy/keys", "deploy/features", "deploy/containers")
READY_S_MAX, TRAFFIC_S, END_S_MAX = 90.0, 10.0, 30.0


class Image:
    """What the Dockerfile builds, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.venv = folder, folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", self.venv], check=True)
        install = ["pip", "install", "--quiet", "--disable-pip-version-check"]
        for lock in ("build", "image"):
            requirements = str(ROOT / f"deploy/locks/{lock}.txt")
            self._at_build([*install, "--require-hashes", "--no-deps", "--requirement", requirements])
        self._at_build([*install, "--no-deps", "--no-build-isolation", "--no-index", str(ROOT)])
        for path in COPIED:
            shutil.copytree(ROOT / path, folder / "assay" / path)
        entry = folder / "assay/deploy/containers/entrypoint.sh"
        entry.write_text(
            entry.read_text(encoding="utf-8").replace("/opt/numba", str(folder / "numba")), encoding="utf-8"
        )
        self._at_build(["python", "deploy/containers/warm.py"], NUMBA_CACHE_DIR=str(folder / "numba"))
        (folder / "state").mkdir()

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process in the image, and nothing of ours."""
        return {
            "PATH": f"{self.venv}/bin:/usr/bin:/bin",
            "NUMBA_CPU_NAME": "generic",
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
        }

    def _at_build(self, command: list[str], **environment: str) -> None:
        there = self.folder / "assay"
        there.mkdir(exist_ok=True)
        # pip finds its registry by the settings of the user who runs this
        subprocess.run(command, cwd=there, env={**os.environ, **self.environment(**environment)}, check=True)

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        """A container's process, by its entry point."""
        work = self.folder / "state" / name
        work.mkdir()
        paths = {"NUMBA_CACHE_DIR": f"{work}/numba", "ASSAY_SNAPSHOT_URL": f"{work}/snapshots", "TMPDIR": str(work)}
        return subprocess.Popen(
            [str(self.folder / "assay/deploy/containers/entrypoint.sh"), *command],
            cwd=self.folder / "assay",
            env=self.environment(**environment, **paths),
        )


def page(port: int, path: str) -> str:
    """What a service says; empty while it does not."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
        return str(answer.read().decode())
    return ""


def until_ready(name: str, process: "subprocess.Popen[bytes]") -> None:
    """As the compose file's health check asks."""
    deadline = time.monotonic() + READY_S_MAX
    while not page(PORTS[name], "/readyz"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{name} did not become ready (exit status {process.poll()})")
        time.sleep(0.2)


@contextmanager
def ending(processes: dict[str, "subprocess.Popen[bytes]"]) -> Iterator[None]:
    """Nothing is left behind."""
    try:
        yield
    finally:
        for process in processes.values():
            process.kill()


def main() -> None:
    """Build, start everything in the compose file's order, look, end."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))["services"]
    ours = {name: service for name, service in compose.items() if service["image"].startswith("assay:")}
    ours = {
        name: service for name, service in ours.items() if "profiles" not in service
    }  # these need more than the demo's
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka, ending(processes):
        print("building the image's venv ...", file=sys.stderr)
        image = Image(Path(folder))
        for name, service in ours.items():  # in the file's order, which is that of what depends on what
            environment = {**service["environment"], "ASSAY_KAFKA_BOOTSTRAP": kafka.bootstrap}
            process = image.start(name, service["command"], environment)
            if name == "topics":
                if process.wait(READY_S_MAX) != 0:
                    raise SystemExit(f"topics ended with {process.returncode}")
                continue
            processes[name] = process
            if name in PORTS:
                until_ready(name, process)
            print(f"{name} is up: {' '.join(service['command'])}", file=sys.stderr)
        time.sleep(TRAFFIC_S)
        lines = page(PORTS["scorer"], "/metrics").splitlines()
        scored = sum(float(line.split()[-1]) for line in lines if line.startswith("assay_records_total"))
        for name in reversed(processes):
            processes[name].terminate()
            status = processes[name].wait(END_S_MAX)
            in_order = (0, -signal.SIGTERM) if name == "simulator" else (0,)  # which has nothing to finish
            if status not in in_order:
                raise SystemExit(f"{name} ended with {status}")
    if not scored:
        raise SystemExit("nothing was scored")
    print(f"{len(processes) + 1} commands ran as their containers would; {scored:,.0f} payments were scored")


if __name__ == "__main__":
    main()
