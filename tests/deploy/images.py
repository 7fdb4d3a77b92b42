"""Images built of the Dockerfiles, and services run in them, by buildah: no daemon, and no more rights than the tests have.

BUILD_IMAGE names the program that builds: `PROGRAM DOCKERFILE TAG BASE`, called at the repository's root, BASE being what the
Dockerfile builds on, without its digest. It prints last the folder of buildah's storage (`store` and `run`, driver vfs).
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).parents[2]
BUILD_IMAGE = os.environ.get("BUILD_IMAGE", "")
needs_build_image = pytest.mark.skipif(
    not BUILD_IMAGE,
    reason="set BUILD_IMAGE to a program that builds a Dockerfile with buildah (tests/deploy/images.py)",
)
USER_ID = 10001
BUILD_S_MAX, COMMAND_S_MAX, READY_S_MAX, END_S_MAX = 1_800.0, 240.0, 240.0, 60.0


@dataclass
class Running:
    """A service in a container of its own."""

    command: "subprocess.Popen[bytes]"
    log: Path
    port: int

    def get(self, path: str) -> int:
        """The status of an answer; 0 where there is none."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def wait_ready(self) -> None:
        """Until /readyz says so."""
        until = time.monotonic() + READY_S_MAX
        while self.get("/readyz") != 200:
            assert self.command.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.5)

    @property
    def processes(self) -> list[psutil.Process]:
        """Those in the container, the first one first; not buildah's own, one of which waits under the same user."""
        children = psutil.Process(self.command.pid).children(recursive=True)
        return [one for one in children if one.uids().real == USER_ID and not one.cmdline()[0].startswith("buildah")]

    def end(self) -> int:
        """As an engine ends a container: SIGTERM to its first process. Its exit status."""
        assert self.command.poll() is None, self.log.read_text()[-3000:]
        self.processes[0].terminate()
        return self.command.wait(END_S_MAX)


@dataclass
class Image:
    """One image. environment: of each of its containers. state: a volume of them, on /var/lib/assay."""

    name: str
    storage: Path
    state: Path
    environment: dict[str, str]
    containers: list[str] = field(default_factory=list)

    def buildah(self, *arguments: str, text: str | None = None) -> str:
        """What a command of buildah says, which must end well."""
        done = subprocess.run(
            self._buildah(*arguments), env=_environment(), input=text, capture_output=True, text=True,
            timeout=COMMAND_S_MAX, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout.strip()

    def run(self, *command: str, text: str | None = None, **environment: str) -> str:
        """What a command says in a container of its own. text: its standard input."""
        return self.buildah(*self._run(command, environment), text=text)

    @contextmanager
    def serving(self, name: str, command: list[str], port: int, **environment: str) -> Iterator[Running]:
        """A service, which is there for as long as it is needed, and ends well."""
        log = self.state / f"{name}.log"
        with log.open("wb") as output:
            arguments = self._buildah(*self._run(command, environment))
            started = subprocess.Popen(
                arguments, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        running = Running(started, log, port)
        try:
            yield running
            assert running.end() == 0, log.read_text()[-3000:]
        finally:
            if started.poll() is None:
                for process in [*psutil.Process(started.pid).children(recursive=True), started]:
                    process.kill()
                started.wait()

    def configuration(self) -> dict[str, str]:
        """What the image says of itself, by the words of a Dockerfile."""
        form = "{{.OCIv1.Config.User}} {{.OCIv1.Config.Cmd}}"
        said = self.buildah("inspect", "--type", "image", "--format", form, f"localhost/{self.name}")
        user, command = said.split(" ", 1)
        return {"USER": user, "CMD": command.strip("[]")}

    def remove_containers(self) -> None:
        """The images stay."""
        for container in self.containers:
            self.buildah("rm", container)

    def _run(self, command: tuple[str, ...] | list[str], environment: dict[str, str]) -> list[str]:
        container = self.buildah("from", "--pull-never", f"localhost/{self.name}")
        self.containers.append(container)
        given = [f"--env={name}={value}" for name, value in {**self.environment, **environment}.items()]
        volume = f"--volume={self.state}:/var/lib/assay:rw"
        entry = "/assay/deploy/containers/entrypoint.sh"  # buildah runs none
        return ["run", "--network=host", volume, *given, container, "--", entry, *command]

    def _buildah(self, *arguments: str) -> list[str]:
        return ["buildah", f"--root={self.storage}/store", f"--runroot={self.storage}/run", *arguments]


def build(dockerfile: Path, tag: str, folder: Path) -> Path:
    """Build each stage of it once; those before the last are images TAG-STAGE. Where the storage lies.

    folder: for what is written on the way.
    """
    text = re.sub(
        r"^(FROM [^\s@]+)@sha256:[0-9a-f]{64}", r"\1", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
    (base,) = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - {*stages}
    for stage in stages:
        text = re.sub(rf"(^FROM |--from=){stage}\b", rf"\1localhost/{tag}-{stage}", text, flags=re.MULTILINE)
    said = ""
    for name, content in zip([*stages, ""], re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:], strict=True):
        (folder / dockerfile.name).write_text(content, encoding="utf-8")
        done = subprocess.run(
            [BUILD_IMAGE, str(folder / dockerfile.name), f"{tag}-{name}" if name else tag, base], cwd=ROOT,
            capture_output=True, text=True, timeout=BUILD_S_MAX, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
        said = done.stdout
    return Path(said.splitlines()[-1])


@contextmanager
def built(dockerfile: str, tag: str, bootstrap: str, folder: Path, target: str | None = None) -> Iterator[Image]:
    """An image of deploy/containers with the demo's bundle and key, and topics of its own. folder: empty, pytest's."""
    state = folder / "state"
    state.mkdir()
    os.chown(state, USER_ID, USER_ID)
    for path in (folder, *folder.parents[:2]):  # pytest's are for their owner alone
        path.chmod(0o755)
    environment = {
        "ASSAY_KAFKA_BOOTSTRAP": bootstrap,
        "ASSAY_TOPIC_PREFIX": f"t-{folder.name}.",
        "ASSAY_GROUP": f"t-{folder.name}.scorer",
        "ASSAY_BUNDLE": "deploy/bundles/fraud",
        "ASSAY_BUNDLE_PUBLIC_KEYS": "deploy/keys/demo.pub",
    }
    image = Image(tag, build(ROOT / "deploy/containers" / dockerfile, tag, folder), state, environment)
    try:
        yield image
    finally:
        image.remove_containers()


def _environment() -> dict[str, str]:
    return {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
