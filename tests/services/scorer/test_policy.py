"""A policy behind the scores of a real stream: actions, rules, and what reads them back."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from models.bundle.keys import PrivateKey, private_key, write_key_pair
from models.policy.policy_file import parse_policy
from models.policy.signed import SignedPolicy, ref_of, signed, write_policy
from schemas.policy import Policy
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_policies import policies_by_name
from tests.services.cli.test_app import run_main
from tests.services.harness import ROOT, Stream, payment

TEXT = """
name: fraud
version: {version}
thresholds: {{probability: 0.5}}
actions: {{probability: review, anomaly_percentile: challenge}}
rules:
  - {{name: large, words: a large payment, condition: amount > {large}, action: decline, owner: a test}}
  - {{name: ours, words: a terminal of our own, condition: "terminal_id = 'terminal-003'", action: approve, owner: a test}}
  - {{name: frequent, words: the card pays often, condition: card_count_30d > 1, action: challenge, owner: a test}}
  - {{name: tried, words: not yet, condition: amount < 100, action: decline, owner: a test, state: shadow}}
"""


def policy_of(version: int, large: float = 900.0) -> Policy:
    """Of the line, with another bound."""
    return parse_policy(TEXT.format(version=version, large=large))


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateKey:
    """A key that is pinned beside the demo's."""
    write_key_pair(tmp_path / "test")
    pinned = f"{ROOT / 'deploy/keys/demo.pub'},{tmp_path / 'test.pub'}"
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", pinned)
    return private_key(tmp_path / "test.key")


async def send(stream: Stream, start: int, end: int) -> None:
    payments = [payment(i, amount=25.0 + i % 950) for i in range(start, end)]
    await stream.send([json.dumps(p).encode() for p in payments], [p["card_id"].encode() for p in payments])


def read_back(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> tuple[int, dict[str, Any]]:
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_PARTITIONS", str(stream.partitions))
    status = run_main(monkeypatch, command, "--json", "--group", stream.group)
    return status, json.loads(capsys.readouterr().out)


async def test_actions_and_rules_are_on_every_output_and_a_replay_finds_them(
    stream: Stream,
    key: PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed in a transaction and gone on: the same policy, named by its digest, and verify judges what it said."""
    write_policy(tmp_path / "fraud-1.policy", signed(policy_of(1), key))
    monkeypatch.setenv("ASSAY_POLICY", str(tmp_path / "fraud-1.policy"))
    settings = {"ASSAY_CONTROL_SHARE": "0.3", "ASSAY_POLICY": str(tmp_path / "fraud-1.policy")}
    doomed = stream.scorer(ASSAY_FAILPOINT="after_sends:9", ASSAY_BATCH_RECORDS_MAX="100", **settings)
    await send(stream, 0, 2000)
    assert doomed.wait() != 0
    scorer = stream.scorer(**settings)
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    scores = [json.loads(record.value) for record in await stream.read("scores")]
    by_id = {score["transaction_id"]: score for score in scores}
    name = f"fraud/1@{policy_of(1).digest()[:12]}"
    assert {score["policy"] for score in scores} == {name}
    large = [by_id[f"tx-{i:09d}"] for i in range(2000) if 25.0 + i % 950 + i % 7 > 900]
    said = {score.get("withheld_action", score["action"]) for score in large if "ours" not in score["rules"]}
    assert said == {"decline"}
    assert {score["action"] for score in large if "ours" in score["rules"]} == {"approve"}
    assert any("withheld_action" in score and score["action"] == "approve" for score in large), "the control group"
    alerts = [json.loads(record.value) for record in await stream.read("alerts")]
    assert {alert["transaction_id"] for alert in alerts} == {
        score["transaction_id"] for score in scores if score["alert"]
    }
    assert {words for alert in alerts if "large" in alert.get("rules", ()) for words in alert["rule_words"]} >= {
        "a large payment"
    }
    decisions = [json.loads(record.value) for record in await stream.read("decisions")]
    assert {decision["policy_digest"] for decision in decisions} == {policy_of(1).digest()}
    assert {decision["probability_threshold"] for decision in decisions} == {0.5}
    assert any("tried" in score.get("shadow_rules", ()) for score in scores)

    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "verify")
    assert (status, found["misjudged"], found["unruled"], found["scores"]) == (0, 0, 0, 2000)
    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "replay")
    assert (status, found["compared"], found["differing"], found["other_policy"]) == (0, 2000, 0, 0)

    other = SignedPolicy(policy_of(1, large=800.0), ref_of(policy_of(1)), None)  # under the same name, another content
    verdict = await stream.verdict(lambda wanted: other.policy.model_copy(update={"rules": other.policy.rules[1:]}))
    assert verdict.misjudged > 0, "a policy without the rule says otherwise"
    monkeypatch.delenv("ASSAY_POLICY")
    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "replay")
    assert (status, found["compared"], found["other_policy"]) == (1, 0, 2000), "left out, and said"
    assert policies_by_name(PolicySettings(), BundleSettings())(name) is None


def test_a_policy_that_no_one_trusted_signed_starts_no_scorer(
    stream: Stream, key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, before anything is read."""
    write_key_pair(tmp_path / "stranger")
    write_policy(tmp_path / "p.policy", signed(policy_of(1), private_key(tmp_path / "stranger.key")))
    refused = stream.scorer(ASSAY_POLICY=str(tmp_path / "p.policy"))
    assert refused.wait() == 2
    assert "none of the keys pinned here signed it" in refused.log()
