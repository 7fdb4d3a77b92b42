"""Credit's policies that two persons have to sign, before a real service: what is forged or repeated changes nothing."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from models.bundle.keys import PrivateKey
from models.policy.policy_file import parse_policy
from models.policy.signed import ref_of, signed, write_policy
from schemas import codec
from schemas.approval import StepStatement
from schemas.control import BundleRef, Control, command_key
from schemas.person import SignedStep
from schemas.registry import RegistryEvent
from schemas.topics import CREDIT_CONTROL, CREDIT_CONTROL_ANSWERS
from tests.services.harness import ROOT, Stream
from tests.services.signers import Signers

pytestmark = pytest.mark.slow

OF_CREDIT = ("--product", "credit")


class Lender(Signers):
    """A credit service whose policies two have to sign, and who writes what they like to its commands."""

    def __init__(self, stream: Stream, key: PrivateKey, patch: pytest.MonkeyPatch) -> None:
        super().__init__(stream.directory, patch)
        self.stream, self.group = stream, f"{stream.prefix}credit"
        url = str(stream.directory / "registry")
        stream.for_commands(
            patch,
            ASSAY_REGISTRY_URL=url,
            ASSAY_CREDIT_GROUP=self.group,
            ASSAY_CREDIT_BUNDLE=str(ROOT / "deploy/bundles/credit"),
        )
        stream.environment |= {**self.environment, "ASSAY_REGISTRY_URL": url}
        first = parse_policy((ROOT / "docs/examples/credit_policy.yaml").read_text())
        self.policies = [first.model_copy(update={"version": version}) for version in (1, 2)]
        for policy in self.policies:
            write_policy(self.file(policy.version), signed(policy, key))

    def file(self, version: int) -> Path:
        """A signed policy."""
        return self.stream.directory / f"{version}.policy"

    async def answered(self, command_id: str) -> Control:
        """What the partitions say to a command."""
        for _ in range(300):
            records = await self.stream.read(CREDIT_CONTROL_ANSWERS.name)
            found = [codec.read(Control, record.value) for record in records]
            answers = [one for one in found if one.command_id == command_id]
            if len(answers) == self.stream.partitions:
                assert len({(one.outcome, one.bundle, one.why) for one in answers}) == 1
                return answers[0]
            await asyncio.sleep(0.2)
        raise AssertionError("no answer")

    async def forged(self, **fields: Any) -> str:
        """A command that an attacker writes; why it is refused."""
        number = uuid.uuid4().hex
        control = Control(
            kind="command", group=self.group, channel="policy", command_id=number, at_ms=1, by="rosa", **fields
        )
        await self.stream.send([codec.write(control)], [command_key(self.group, "policy")], CREDIT_CONTROL.name)
        answer = await self.answered(number)
        assert (answer.outcome, str(answer.bundle)) == ("refused", "credit/1")
        return answer.why or ""

    async def steps(self) -> list[RegistryEvent]:
        """The history of credit's policies."""
        found = await self.does("policy", "history", *OF_CREDIT)
        return [codec.read(RegistryEvent, json.dumps(one).encode()) for one in found["steps"]]


async def test_the_credit_service_obeys_what_two_persons_signed_and_nothing_that_is_forged_or_repeated(
    stream: Stream, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsigned commands and steps, a borrowed signature, a repetition: refused, also over a restart; the way back is open."""
    lender = Lender(stream, key, monkeypatch)
    service = stream.credit()
    service.wait_ready()
    for version in (1, 2):
        await lender.does("policy", "publish", str(lender.file(version)), *OF_CREDIT)
    first, second = map(ref_of, lender.policies)
    done = await lender.signed("policy", "promote", "credit/1", *OF_CREDIT)
    assert (done["recorded"], done["refused"], done["answered"]) == (True, 0, stream.partitions)

    steps = await lender.steps()
    mine = steps[-1].signed
    assert mine is not None
    assert "no signature" in await lender.forged(bundle=second, registry_steps=len(steps))
    assert "no signature" in await lender.forged(bundle=None, replaces=first, rollback=True, registry_steps=len(steps))
    said = StepStatement.model_validate_json(mine.statement)
    borrowed = await lender.forged(bundle=second, registry_steps=said.registry_steps, signed=mine)
    assert "another bundle" in borrowed
    assert service.metric("assay_bundles_refused_total", reason="signature") == 3

    unsigned = RegistryEvent(action="promote", bundle=second, channel="champion", at_ms=1, by="rosa")
    folder = stream.directory / "registry" / "credit-policy-events"
    (folder / f"{len(steps) + 1:08d}.json").write_text(unsigned.model_dump_json())
    assert service.terminate() == 0
    service = stream.credit()
    service.wait_ready()
    assert service.metric("assay_policy", policy=f"credit/1@{first.digest[:12]}") == 1

    assert (await lender.signed("policy", "promote", "credit/2", *OF_CREDIT))["recorded"]
    assert service.metric("assay_policy", policy=f"credit/2@{second.digest[:12]}") == 1
    assert "repeated" in await repeated(lender, second, first)
    back = await lender.signed("policy", "rollback", "credit", *OF_CREDIT)
    assert (back["recorded"], back["bundle"]) == (True, "credit/1")
    none = await lender.signed("policy", "rollback", "credit", *OF_CREDIT)
    assert (none["recorded"], none["bundle"]) == (True, None)
    assert service.metric("assay_policy") == 0
    assert service.terminate() == 0


async def repeated(lender: Lender, second: BundleRef, first: BundleRef) -> str:
    """Why the newest signature does not take its own step back once that is recorded."""
    number, last = uuid.uuid4().hex, (await lender.steps())[-1].signed
    assert isinstance(last, SignedStep)
    steps = StepStatement.model_validate_json(last.statement).registry_steps
    control = Control(
        kind="command", group=lender.group, channel="policy", command_id=number, at_ms=1, by="rosa",
        bundle=first, replaces=second, rollback=True, registry_steps=steps, signed=last,
    )  # fmt: skip
    await lender.stream.send([codec.write(control)], [command_key(lender.group, "policy")], CREDIT_CONTROL.name)
    answer = await lender.answered(number)
    assert (answer.outcome, answer.bundle) == ("refused", second)
    return answer.why or ""
