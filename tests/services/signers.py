"""Two persons who sign, and commands that run as one of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from models.bundle.keys import public_pem, write_key_pair
from services.cli.app import app


class Signers:
    """Rosa, a risk officer, and Aron, an admin; both have to sign."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, patch
        listed = [
            {"name": name, "role": role, "public_key": public_pem(write_key_pair(folder / name)).decode()}
            for name, role in (("rosa", "risk-officer"), ("aron", "admin"))
        ]
        (folder / "persons.yaml").write_text(yaml.safe_dump({"persons": listed}))
        self.environment = {
            "ASSAY_PERSONS_FILE": str(folder / "persons.yaml"),
            "ASSAY_PERSONS_SIGNATURES_MIN": "2",
        }
        for name, value in self.environment.items():
            patch.setenv(name, value)

    def become(self, name: str) -> None:
        """Sign as somebody from now on."""
        self._patch.setenv("ASSAY_PERSONS_KEY_FILE", str(self._folder / f"{name}.key"))

    async def does(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        return json.loads(done.stdout)

    async def fails(self, *arguments: str) -> tuple[int, str]:
        """Exit status and words of a command that does nothing."""
        done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments])
        assert done.exit_code != 0, done.output
        return done.exit_code, " ".join(f"{done.output} {done.exception}".split())

    async def signed(self, *command: str) -> Any:
        """Asked for by Rosa, approved by Aron, done by Rosa."""
        self.become("rosa")
        status, words = await self.fails(*command)
        assert status == 1, words
        assert "waits for a second person" in words
        (request,) = [one["request"] for one in await self.does("approvals", "list") if one["state"] == "open"]
        assert "another person has to approve" in (await self.fails("approvals", "approve", request))[1]
        assert "not approved" in (await self.fails(*command, "--request", request))[1]
        self.become("aron")
        approved = await self.does("approvals", "approve", request)
        assert approved["signed"]
        assert approved["then"] == f"now `assay {' '.join(command)} --request {request}` does it".replace(
            " --offline", ""
        )
        self.become("rosa")
        return await self.does(*command, "--request", request)
