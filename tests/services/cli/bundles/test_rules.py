"""`assay policy` and `assay rules` without a broker: what a person who writes rules meets first."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.monitor import RuleQuality
from services.cli.bundles.rule_hits import Hits, added, found_of
from tests.services.cli.test_app import run_main

ROOT = Path(__file__).parents[4]
POLICY, CASES = str(ROOT / "docs/examples/policy.yaml"), str(ROOT / "docs/examples/policy_cases.yaml")


@pytest.fixture(autouse=True)
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's bundle scores."""
    monkeypatch.setenv("ASSAY_DEMO_BUNDLE", "true")


def test_the_examples_of_the_docs_come_out_as_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 0."""
    assert run_main(monkeypatch, "rules", "test", POLICY, "--cases", CASES, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["failed"], [one["action"] for one in found["outcomes"]]) == (0, ["decline", "approve", "approve"])


def test_the_examples_of_credit_come_out_as_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the same command, for the other product."""
    policy, cases = (str(ROOT / f"docs/examples/credit_policy{part}.yaml") for part in ("", "_cases"))
    assert run_main(monkeypatch, "rules", "test", policy, "--cases", cases, "--product", "credit", "--json") == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 0
    assert run_main(monkeypatch, "policy", "check", policy) == 2
    assert "it judges applications, and the bundle payments" in capsys.readouterr().err


def test_an_example_that_comes_out_otherwise_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, for a team's own tests, and the row says what was found."""
    cases = tmp_path / "cases.yaml"
    cases.write_text("cases:\n  - {name: small, given: {amount: 5.0}, action: decline}\n")
    assert run_main(monkeypatch, "rules", "test", POLICY, "--cases", str(cases), "--json") == 1
    assert json.loads(capsys.readouterr().out)["outcomes"][0]["action"] == "approve"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{amont: 5.0}", "did you mean amount?"),
        ("{amount: five}", "it is a number"),
        ("{probability: 0.5}", "gives probability"),
    ],
)
def test_an_example_that_gives_what_there_is_not_is_a_sentence(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2: nothing is guessed."""
    cases = tmp_path / "cases.yaml"
    cases.write_text(f"cases:\n  - {{name: small, given: {given}, action: approve}}\n")
    assert run_main(monkeypatch, "rules", "test", POLICY, "--cases", str(cases)) == 2
    assert said in capsys.readouterr().err


def test_check_sign_and_show_know_a_policy_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a file that someone changed is refused before it is read."""
    assert run_main(monkeypatch, "policy", "check", POLICY, "--json") == 0
    digest = json.loads(capsys.readouterr().out)["digest"]
    assert run_main(monkeypatch, "bundle", "keygen", str(tmp_path / "release")) == 0
    file = tmp_path / "fraud-1.policy"
    assert run_main(monkeypatch, "policy", "sign", POLICY, str(file), "--key", str(tmp_path / "release.key")) == 0
    capsys.readouterr()
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", str(tmp_path / "release.pub"))
    assert run_main(monkeypatch, "policy", "show", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["digest"] == digest
    file.write_bytes(file.read_bytes().replace(b"amount > 500", b"amount > 900"))
    assert run_main(monkeypatch, "policy", "show", str(file)) == 2
    assert "policy.json is not as it was signed" in capsys.readouterr().err
    assert run_main(monkeypatch, "policy", "show", POLICY) == 2
    assert "assay policy sign" in capsys.readouterr().err


def test_a_rule_that_never_holds_or_holds_of_most_is_said_to() -> None:
    """And one that never holds without another."""
    hits = Hits()
    held = [("wide",)] * 6 + [("wide", "inner")] * 2 + [()] * 2
    for rules in held:
        hits.add(SimpleNamespace(rules=rules, shadow_rules=()))
    rows = {row["rule"]: row for row in hits.rows(None)}
    assert (rows["wide"]["hits"], rows["wide"]["alone"], rows["wide"]["finding"]) == (8, 6, "holds of most payments")
    assert (rows["inner"]["most_often_beside"], rows["inner"]["finding"]) == ({"wide": 2}, "never without wide")


def test_a_rules_precision_is_of_its_policys_payments_else_of_the_newest_that_had_it() -> None:
    """Summed over ages and models; a version that was just promoted says whose figures it shows."""
    one, two = "fraud/1@0123456789ab", "fraud/2@0123456789ab"

    def of(policy: str, state: str, hits: float, frauds: float) -> RuleQuality:
        fields = {"policy": policy, "rule": "large", "state": state, "hits": hits, "frauds": frauds, "labelled": 1}
        return RuleQuality.model_validate(fields)

    judged = added([of(two, "shadow", 3.0, 1.0), of(one, "on", 4.0, 4.0), of(two, "shadow", 1.0, 1.0)])
    found = found_of(judged, two, "large", "shadow")
    assert (found["precision"], found["labelled"], found["precision_of"]) == (0.5, 2, "fraud/2 (shadow)")
    assert found_of(judged, one, "large", "on")["precision"] == 1.0
    promoted = found_of(judged, "fraud/3@0123456789ab", "large", "on")
    assert (promoted["precision"], promoted["precision_of"]) == (0.5, "fraud/2 (shadow)")
    assert found_of(judged, two, "other", "on")["precision"] is None
