"""A policy behind credit's scores on the real broker: swapped, shadowed, refused, rolled back, over a kill, and found again."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from models.bundle.keys import PrivateKey
from models.policy.policy_file import parse_policy
from models.policy.signed import signed, write_policy
from models.simulation.applications import drawn
from schemas import codec
from schemas.credit import CreditDecision, CreditScore
from schemas.policy import Policy
from schemas.topics import APPLICATIONS, CREDIT_CONTROL_ANSWERS, CREDIT_DECISIONS, CREDIT_SCORES
from services.simulator.applications import application_payloads
from services.verification.pipeline import CREDIT
from services.verification.verify import verify
from tests.services.cli.test_app import run_main
from tests.services.harness import BASE_TIME_MS, ROOT, Stream

TEXT = (ROOT / "docs/examples/credit_policy.yaml").read_text()
SLICE = 60


def policy_of(version: int, **changes: Any) -> Policy:
    """The docs' example, as another version."""
    return parse_policy(TEXT).model_copy(update={"version": version, **changes})


STRICTER = policy_of(2, thresholds=policy_of(1).thresholds.model_copy(update={"probability": 0.1}))
BROKEN = policy_of(3, rules=(policy_of(1).rules[0].model_copy(update={"condition": "INCOME < 1000"}),))


async def check_outputs(stream: Stream, ids: list[str]) -> None:
    """Each slice of applications was decided by its policy, and whom it refused has reasons. ids: in order."""
    scores = {
        s.application_id: s for s in (codec.read(CreditScore, r.value) for r in await stream.read(CREDIT_SCORES.name))
    }
    one, two = (f"credit/{p.version}@{p.digest()[:12]}" for p in (policy_of(1), STRICTER))
    named = [{scores[i].policy for i in ids[start : start + SLICE]} for start in range(0, 7 * SLICE, SLICE)]
    assert named == [{None}, {one}, {one}, {one}, {two}, {two}, {one}]
    decisions = [codec.read(CreditDecision, r.value) for r in await stream.read(CREDIT_DECISIONS.name)]
    beside = Counter(d.shadow_policy.policy for d in decisions if d.shadow_policy is not None)
    assert beside[two] >= 2 * SLICE
    late = [d for d in decisions if "months_late" in d.rules]
    assert late
    assert all("Delinquent past or present credit obligations" in d.adverse_actions for d in late)
    assert all(d.adverse_actions or d.reasons for d in decisions if d.outcome != "approve")
    assert not any(d.adverse_actions or d.reasons for d in decisions if d.outcome == "approve")
    assert all(len(d.adverse_actions) + len(d.reasons) <= 4 for d in decisions)
    assert {r.topic for r in await stream.read(CREDIT_CONTROL_ANSWERS.name)} == {
        f"{stream.prefix}credit-control-answers"
    }
    assert not await stream.read("control-answers"), "the two products have nothing in common here"


@pytest.mark.slow
async def test_a_policy_of_credit_lives_as_one_of_payments_does_and_every_outcome_is_found_again(
    stream: Stream,
    key: PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """None, promoted, the next in shadow, killed, promoted, a bad one refused, rolled back; then verify and replay judge."""
    url, group, bundle = str(tmp_path / "registry"), f"{stream.prefix}credit", str(ROOT / "deploy/bundles/credit")
    stream.for_commands(monkeypatch, ASSAY_REGISTRY_URL=url, ASSAY_CREDIT_GROUP=group, ASSAY_CREDIT_BUNDLE=bundle)

    async def assay(*words: str) -> tuple[int, Any]:
        status = await asyncio.to_thread(run_main, monkeypatch, *words, "--product", "credit", "--json")
        return status, json.loads(capsys.readouterr().out or "null")

    for policy in (policy_of(1), STRICTER, BROKEN):
        write_policy(tmp_path / f"{policy.version}.policy", signed(policy, key))
        assert (await assay("policy", "publish", str(tmp_path / f"{policy.version}.policy")))[0] == 0

    batch = [*application_payloads([drawn(7 * SLICE, seed=5, start_ms=BASE_TIME_MS)])]
    sent = iter(range(0, 7 * SLICE, SLICE))
    service = stream.credit(ASSAY_REGISTRY_URL=url)

    async def send() -> None:
        start = next(sent)
        part = batch[start : start + SLICE]
        await stream.send([p.value for p in part], [p.key for p in part], APPLICATIONS.name)
        await stream.caught_up([service], group, APPLICATIONS.name)

    await send()
    status, found = await assay("policy", "promote", "credit/1")
    assert (status, found["recorded"], found["answered"]) == (0, True, stream.partitions), found
    await send()
    assert (await assay("policy", "shadow", "credit/2"))[1]["recorded"]
    await send()
    service.kill()
    service = stream.credit(ASSAY_REGISTRY_URL=url)
    await send()
    assert (await assay("policy", "promote", "credit/2"))[1]["recorded"]
    await send()
    status, found = await assay("policy", "promote", "credit/3")
    assert (status, found["recorded"]) == (1, False)
    assert "INCOME is unknown" in found["why"]
    await send()
    status, found = await assay("policy", "rollback", "--why", "too strict")
    assert (status, found["bundle"]) == (0, "credit/1")
    await send()
    assert service.metric("assay_rule_hits_total", rule="months_late") > 0
    assert service.terminate() == 0

    await check_outputs(stream, [json.loads(payload.value)["application_id"] for payload in batch])
    status, found = await assay("verify", "--bits")
    assert (status, found["misjudged"], found["unruled"], found["inconsistent"]) == (0, 0, 0, 0), found
    assert (found["compared"], found["differing"], found["other_policy"]) == (7 * SLICE, 0, 0), found
    weaker = policy_of(1, rules=policy_of(1).rules[:2])
    verdict = await verify(stream.kafka, stream.topics, group, CREDIT, policies=lambda name: weaker)
    assert verdict.misjudged > 0, "a policy without the rule says otherwise"
    monkeypatch.delenv("ASSAY_REGISTRY_URL")
    status, found = await assay("replay")
    assert (status, found["compared"], found["other_policy"]) == (0, SLICE, 6 * SLICE), "left out, and said"


def test_a_policy_of_payments_starts_no_credit_service_and_is_published_to_payments_alone(
    stream: Stream,
    key: PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sentence each, also where it reads nothing but scores."""
    write_policy(tmp_path / "p.policy", signed(Policy(name="credit", version=1), key))
    refused = stream.credit(ASSAY_CREDIT_POLICY=str(tmp_path / "p.policy"))
    assert refused.wait() == 2
    assert "it judges payments, and the bundle applications" in refused.log()
    assert "Traceback" not in refused.log()
    monkeypatch.setenv("ASSAY_REGISTRY_URL", str(tmp_path / "registry"))
    assert run_main(monkeypatch, "policy", "publish", str(tmp_path / "p.policy"), "--product", "credit") == 2
    assert "credit/1 judges payments: publish it with --product fraud." in capsys.readouterr().err
