"""Versions of a bundle in a registry, and the commands that activate one while scorers score."""

import subprocess
import sys
from pathlib import Path

from models.bundle.keys import public_pem
from tests.models.bundle.making import signed, signing_key, version_of
from tests.services.harness import ROOT, Stream

VERSIONS_MAX = 6
"""A replay runs each of them over the whole log."""


class Versions:
    """Signed bundles in a directory, every second with other scores. `paths`: of each, by version from 1 on."""

    def __init__(self, directory: Path) -> None:
        self._directory, self.paths = directory, [self._make(directory / "v1", 1)]
        (directory / "key.pub").write_bytes(public_pem(signing_key().public_key()))
        self._rolled_back = False
        self.environment = {
            "ASSAY_BUNDLE": str(self.paths[0]),
            "ASSAY_BUNDLE_PUBLIC_KEYS": str(directory / "key.pub"),
            "ASSAY_REGISTRY_URL": str(directory / "registry"),
        }

    def _make(self, path: Path, version: int) -> Path:
        version_of(path, version, other=version % 2 == 0)
        signed(path)
        return path

    def publish_first(self, stream: Stream) -> None:
        """The version that every scorer starts with."""
        self._assay(stream, "publish", str(self.paths[0]))

    def change(self, stream: Stream) -> None:
        """Order another version: a new one; once there are enough, the one before and the last in turn."""
        if len(self.paths) < VERSIONS_MAX:
            version = len(self.paths) + 1
            self.paths.append(self._make(self._directory / f"v{version}", version))
            self._assay(stream, "publish", str(self.paths[-1]))
        elif not self._rolled_back:
            self._rolled_back = True
            self._assay(stream, "rollback", "--wait", "0")
            return
        self._rolled_back = False
        self._assay(stream, "promote", f"fraud/{len(self.paths)}", "--wait", "0")

    def _assay(self, stream: Stream, *arguments: str) -> None:
        """`assay registry ...` on this registry. A command that a broker's death cuts short has no effect, and is no fault."""
        environment = {
            "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
            "ASSAY_TOPIC_PREFIX": stream.prefix,
            "ASSAY_GROUP": stream.group,
            **self.environment,
        }
        command = [sys.executable, "-m", "services.cli", "registry", *arguments, "--json"]
        subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False, timeout=120)
