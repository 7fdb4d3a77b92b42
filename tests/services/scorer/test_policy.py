"""A policy behind the scores of a real stream: actions, rules, and what reads them back."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from models.bundle.keys import PrivateKey, private_key, write_key_pair
from models.policy.policy_file import parse_policy
from models.policy.signed import SignedPolicy, ref_of, signed, write_policy
from schemas import codec
from schemas.lists import ListEntry, entry_key
from schemas.policy import Policy, Rule
from schemas.topics import LISTS
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_policies import policies_by_name
from tests.services.cli.test_app import run_main
from tests.services.harness import ROOT, Stream, payment
from tests.services.signing import people

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


async def send(stream: Stream, start: int, end: int) -> None:
    payments = [payment(i, amount=25.0 + i % 950) for i in range(start, end)]
    await stream.send([json.dumps(p).encode() for p in payments], [p["card_id"].encode() for p in payments])


def read_back(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> tuple[int, dict[str, Any]]:
    stream.for_commands(monkeypatch)
    status = run_main(monkeypatch, command, "--json", "--group", stream.group)
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.slow
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


def assay(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, Any]:
    """Status and JSON of a command against the stream's broker."""
    stream.for_commands(monkeypatch, ASSAY_GROUP=stream.group)
    status = run_main(monkeypatch, *words, "--json")
    out = capsys.readouterr().out
    return status, json.loads(out) if out else None


def publish_four(
    stream: Stream,
    key: PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """A registry with the demo's bundle as champion, and four policies of which the last reads what is not there."""
    url = str(tmp_path / "registry")
    monkeypatch.setenv("ASSAY_REGISTRY_URL", url)
    published = run_main(monkeypatch, "registry", "publish", str(ROOT / "deploy/bundles/fraud"))
    assert published == run_main(monkeypatch, "registry", "promote", "fraud/1", "--offline") == 0
    capsys.readouterr()
    broken = policy_of(4).model_copy(
        update={"rules": (policy_of(4).rules[0].model_copy(update={"condition": "nope > 1"}),)}
    )
    for policy in (policy_of(1), policy_of(2, 400.0), policy_of(3, 300.0), broken):
        file = tmp_path / f"{policy.version}.policy"
        write_policy(file, signed(policy, key))
        assert assay(stream, monkeypatch, capsys, "policy", "publish", str(file))[0] == 0
    return url


@pytest.mark.slow
async def test_a_policy_is_swapped_without_a_restart_and_every_payment_names_the_one_that_decided(
    stream: Stream,
    key: PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Promoted, killed, started again, shadowed, a bad one refused, rolled back: a replay finds each action by its policy."""
    url = publish_four(stream, key, tmp_path, monkeypatch, capsys)
    environment = {"ASSAY_REGISTRY_URL": url, "ASSAY_BATCH_RECORDS_MAX": "100", "ASSAY_DECISION_SHARE": "1.0"}

    async def asked(*words: str) -> tuple[int, Any]:
        return await asyncio.to_thread(assay, stream, monkeypatch, capsys, "policy", *words)

    scorer = stream.scorer(**environment)
    await send(stream, 0, 400)
    await stream.caught_up([scorer])
    status, found = await asked("promote", "fraud/1")
    assert (status, found["recorded"], found["answered"]) == (0, True, 4)
    await send(stream, 400, 800)
    await stream.caught_up([scorer])
    assert (await asked("promote", "fraud/2", "--why", "lower"))[1]["recorded"]
    status, found = await asked("shadow", "fraud/3")
    assert (status, found["recorded"]) == (0, True)
    await send(stream, 800, 1200)
    await stream.caught_up([scorer])
    scorer.kill()
    scorer = stream.scorer(**environment)
    await send(stream, 1200, 1600)
    await stream.caught_up([scorer])
    status, found = await asked("promote", "fraud/4")
    assert (status, found["recorded"]) == (1, False)
    assert "nope is unknown" in found["why"]
    await send(stream, 1600, 2000)
    await stream.caught_up([scorer])
    status, found = await asked("rollback", "--why", "too many")
    assert (status, found["bundle"]) == (0, "fraud/1")
    await send(stream, 2000, 2400)
    await stream.caught_up([scorer])
    assert (await asked("rollback", "--why", "the first one, too"))[1]["recorded"]
    await send(stream, 2400, 2600)
    await stream.caught_up([scorer])
    assert (await asked("rollback"))[0] == 2, "there is nothing to take back any more"
    assert scorer.terminate() == 0

    said = {
        int(score["transaction_id"][3:]): score
        for score in map(json.loads, (r.value for r in await stream.read("scores")))
    }
    one, two = (f"fraud/{policy.version}@{policy.digest()[:12]}" for policy in (policy_of(1), policy_of(2, 400.0)))
    named = [{said[i].get("policy") for i in range(start, start + 200)} for start in range(0, 2600, 400)]
    assert named == [{None}, {one}, {two}, {two}, {two}, {one}, {None}]
    assert not {"policy", "action", "rules"} & said[0].keys(), "without a policy outputs are as they were"
    decisions = [json.loads(record.value) for record in await stream.read("decisions")]
    beside = {decision["shadow_policy"]["policy"] for decision in decisions if "shadow_policy" in decision}
    assert {name.partition("@")[0] for name in beside} == {"fraud/3"}
    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "verify")
    assert (status, found["misjudged"], found["unruled"], found["scores"]) == (0, 0, 0, 2600), found
    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "replay")
    assert (status, found["compared"], found["differing"], found["other_policy"]) == (0, 2600, 0, 0), found


@pytest.mark.slow
@pytest.mark.parametrize("persons", [False, True])
async def test_a_rule_asks_a_list_and_a_replay_sees_the_list_as_it_was(
    stream: Stream,
    key: PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    persons: bool,
) -> None:
    """A card is listed while the scorer runs: declined from then on, and the replay finds both.

    persons: who have to sign. Then an entry that no one signed changes nothing, neither for the scorer nor for the replay.
    """
    if persons:
        everyone = people(tmp_path)
        needed = {"ASSAY_PERSONS_SIGNATURES_MIN": "1", "ASSAY_PERSONS_FILE": str(everyone.file)}
        stream.environment |= needed
        for name, value in (needed | {"ASSAY_PERSONS_KEY_FILE": str(everyone.key_file("lena"))}).items():
            monkeypatch.setenv(name, value)
    rule = {"name": "listed", "words": "a card on the list", "action": "decline", "owner": "a test"}
    policy = policy_of(1).model_copy(
        update={
            "lists": ("blocked",),
            "rules": (Rule.model_validate({**rule, "condition": "card_id IN LIST('blocked')"}),),
        }
    )
    write_policy(tmp_path / "fraud-1.policy", signed(policy, key))
    monkeypatch.setenv("ASSAY_POLICY", str(tmp_path / "fraud-1.policy"))
    scorer = stream.scorer(ASSAY_POLICY=str(tmp_path / "fraud-1.policy"))
    await send(stream, 0, 500)
    await stream.caught_up([scorer])
    words = ("lists", "add", "blocked", "card_id=card-0007", "--reason", "fraud")
    added = await asyncio.to_thread(assay, stream, monkeypatch, capsys, *words)
    assert added[0] == 0
    while scorer.metric("assay_list_entries") < 1:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    if persons:
        forged = ListEntry(list_name="blocked", field="card_id", kind="value", value="card-0008")
        await stream.send([codec.write(forged)], [entry_key(forged)], LISTS.name)
        while scorer.metric("assay_table_records_refused_total", topic="lists") < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await send(stream, 500, 1000)
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    scores = [json.loads(record.value) for record in await stream.read("scores")]
    said = {score["transaction_id"]: score["action"] for score in scores if "listed" in score.get("rules", ())}
    assert said == {"tx-000000507": "decline"}
    status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "replay")
    assert (status, found["compared"], found["differing"]) == (0, 1000, 0), found
    if persons:
        monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "0")
        status, found = await asyncio.to_thread(read_back, stream, monkeypatch, capsys, "replay")
        assert (found["compared"], found["differing"], found["other_policy"]) == (0, 0, 1000), found
