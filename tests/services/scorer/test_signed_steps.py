"""Promotions that two persons have to sign, before a real scorer: what is forged, alone or repeated changes nothing."""

import asyncio
import json
import uuid
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from models.bundle.keys import public_pem, write_key_pair
from schemas import codec
from schemas.control import BundleRef, Control, command_key
from schemas.person import SignedStep
from schemas.registry import RegistryEvent
from services.cli.app import app
from tests.services.harness import Stream
from tests.services.scorer.shop import Shop

pytestmark = pytest.mark.slow


class SignedShop(Shop):
    """Rosa and Aron sign; each command runs as one of them."""

    def __init__(self, stream: Stream, patch: pytest.MonkeyPatch) -> None:
        super().__init__(stream, patch)
        self._patch, self._folder = patch, stream.directory
        listed = [
            {"name": name, "role": role, "public_key": public_pem(write_key_pair(self._folder / name)).decode()}
            for name, role in (("rosa", "risk-officer"), ("aron", "admin"))
        ]
        (self._folder / "persons.yaml").write_text(yaml.safe_dump({"persons": listed}))
        needed = {
            "ASSAY_PERSONS_FILE": str(self._folder / "persons.yaml"),
            "ASSAY_PERSONS_SIGNATURES_MIN": "2",
        }
        stream.environment |= needed
        for name, value in needed.items():
            patch.setenv(name, value)

    def become(self, name: str) -> None:
        """Sign as somebody from now on."""
        self._patch.setenv("ASSAY_PERSONS_KEY_FILE", str(self._folder / f"{name}.key"))

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
        (request,) = [one["request"] for one in await self.assay("approvals", "list") if one["state"] == "open"]
        assert "another person has to approve" in (await self.fails("approvals", "approve", request))[1]
        assert "not approved" in (await self.fails(*command, "--request", request))[1]
        self.become("aron")
        assert (await self.assay("approvals", "approve", request))["signed"]
        self.become("rosa")
        return await self.assay(*command, "--request", request)

    async def command(self, **fields: Any) -> Control:
        """A command that an attacker writes to `control`; what the partitions answer to it."""
        number = uuid.uuid4().hex
        control = Control(
            kind="command", group=self.stream.group, channel="champion", command_id=number, at_ms=1, by="rosa", **fields
        )
        await self.stream.send([codec.write(control)], [command_key(self.stream.group, "champion")], "control")
        for _ in range(300):
            answers = [one for one in await self.controls() if one.command_id == number]
            if len(answers) == self.stream.partitions:
                return answers[0]
            await asyncio.sleep(0.2)
        raise AssertionError("no answer")


async def test_a_scorer_obeys_what_two_persons_signed_and_nothing_that_is_forged_or_repeated(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unsigned command, an unsigned step, a signature on another step, a repetition: refused, also over a restart."""
    shop = SignedShop(stream, monkeypatch)
    await shop.assay("registry", "publish", str(stream.directory / "v1"))
    await shop.signed("registry", "promote", "fraud/1", "--offline")
    scorer = stream.scorer()
    scorer.wait_ready()
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    await shop.assay("registry", "publish", str(shop.make(2, other=True)))
    history = await shop.assay("registry", "history")
    first, second = (BundleRef(**step["bundle"]) for step in history["steps"] if step["action"] == "publish")
    steps, signed = len(history["steps"]), SignedStep.model_validate_json(json.dumps(history["steps"][1]["signed"]))
    unsigned = await shop.command(bundle=second, registry_steps=steps)
    assert (unsigned.outcome, "no signature" in (unsigned.why or "")) == ("refused", True)
    borrowed = await shop.command(bundle=second, registry_steps=1, signed=signed)
    assert (borrowed.outcome, "another bundle" in (borrowed.why or "")) == ("refused", True)
    assert scorer.metric("assay_bundles_refused_total", reason="signature") == 2
    forged = RegistryEvent(action="promote", bundle=second, channel="champion", at_ms=1, by="rosa")
    (stream.directory / "registry" / "events" / f"{steps + 1:08d}.json").write_text(forged.model_dump_json())
    assert scorer.terminate() == 0
    scorer = stream.scorer()
    scorer.wait_ready()
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    done = await shop.signed("registry", "promote", "fraud/2")
    assert (done["recorded"], done["refused"], done["answered"]) == (True, 0, stream.partitions)
    assert scorer.metric("assay_model_info", bundle="fraud/2") == 1
    last = (await shop.assay("registry", "history"))["steps"][-1]
    signed = SignedStep.model_validate_json(json.dumps(last["signed"]))
    said = json.loads(signed.statement)
    repeated = await shop.command(
        bundle=first, replaces=second, rollback=True, registry_steps=said["registry_steps"], signed=signed
    )
    assert (repeated.outcome, "repeated" in (repeated.why or "")) == ("refused", True)
    assert [one.by for one in signed.signatures] == ["rosa", "aron"]
    assert [one["state"] for one in await shop.assay("approvals", "list", "--all")] == ["done", "done"]
    back = await shop.signed("registry", "rollback", "fraud")
    assert (back["recorded"], back["refused"]) == (True, 0)
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    assert scorer.terminate() == 0
