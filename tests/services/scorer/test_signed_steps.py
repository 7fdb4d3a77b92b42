"""Promotions that two persons have to sign, before a real scorer: what is forged, alone or repeated changes nothing."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from schemas import codec
from schemas.control import BundleRef, Control, command_key
from schemas.person import SignedStep
from schemas.registry import RegistryEvent
from tests.services.harness import Stream
from tests.services.scorer.shop import Shop
from tests.services.signers import Signers

pytestmark = pytest.mark.slow


class SignedShop(Shop):
    """Its commands have to be signed by two."""

    def __init__(self, stream: Stream, patch: pytest.MonkeyPatch) -> None:
        super().__init__(stream, patch)
        self.signers = Signers(stream.directory, patch)
        stream.environment |= self.signers.environment

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
    await shop.signers.signed("registry", "promote", "fraud/1", "--offline")
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
    done = await shop.signers.signed("registry", "promote", "fraud/2")
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
    back = await shop.signers.signed("registry", "rollback", "fraud")
    assert (back["recorded"], back["refused"]) == (True, 0)
    assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    assert scorer.terminate() == 0
