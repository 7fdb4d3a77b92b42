"""A policy behind the scores of applications: knock-out rules, their words, and what could not be read. Pure."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle.load import load_bundle
from models.bundle.trust import ANYBODY
from models.policy.policy_file import PolicyError, compile_policy, parse_policy
from models.policy.program import Program
from models.scoring.scores import Scores
from schemas.application import Application
from services.credit.ruling import Decided, decide
from services.trusted_policies import known_of, known_to
from services.verification.outcomes import by_policy
from tests.services.harness import ROOT

BUNDLE = load_bundle(ROOT / "deploy/bundles/credit", ANYBODY)
BOUNDS = BUNDLE.manifest.thresholds.model_copy(update={"probability": 0.3, "anomaly_percentile": 99.0})
TEXT = (ROOT / "docs/examples/credit_policy.yaml").read_text()


def program(text: str = TEXT) -> Program:
    """Compiled beside the demo's bundle."""
    policy = parse_policy(text)
    return compile_policy(policy, known_to(BUNDLE, policy), text)


def of(**attributes: float | bool | str | None) -> Application:
    """One application."""
    return Application(application_id="a", event_time_ms=0, applicant_id="b", attributes=attributes)


def decided(probability: float, percentile: float, *applications: Application, text: str = TEXT) -> Decided:
    """With the same scores for each."""
    rows = len(applications)
    scores = Scores(
        np.full(rows, probability, np.float32), np.zeros(rows, np.float32), np.full(rows, percentile, np.float32)
    )
    features = np.zeros((rows, len(BUNDLE.manifest.feature_spec.names)), np.float32)
    return decide(program(text), applications, features, scores, BOUNDS)


def test_a_knock_out_rule_declines_whom_the_model_would_approve_and_says_why_in_its_own_words() -> None:
    """The rule's words alone: no score asked for it, so no Shapley reasons are due."""
    found = decided(0.01, 1.0, of(AGE=17, PAY_0=0), of(AGE=40, PAY_0=0), of(AGE=17, PAY_0=4))
    assert found.outcomes == ["decline", "approve", "decline"]
    assert found.triggers == {}
    assert found.adverse == {
        0: ("Applicant is not of legal age to enter a contract",),
        2: ("Applicant is not of legal age to enter a contract", "Delinquent past or present credit obligations"),
    }


def test_the_most_severe_decides_and_only_what_asked_for_it_gives_reasons() -> None:
    """A rule that declines, a percentile that refers: the rule's words; a probability that declines too: both."""
    found = decided(0.01, 99.5, of(AGE=17, PAY_0=0), of(AGE=40, PAY_0=0), of(PAY_0=0))
    assert found.outcomes == ["decline", "refer", "refer"]
    assert found.triggers == {1: "anomaly_percentile", 2: "anomaly_percentile"}
    assert found.adverse[2] == ("Unable to verify age",)
    both = decided(0.9, 99.5, of(AGE=17, PAY_0=0))
    assert (both.outcomes, both.triggers, list(both.adverse)) == (["decline"], {0: "probability"}, [0])


def test_an_attribute_of_another_type_is_named_and_approves_no_one() -> None:
    """A knock-out rule that could not be judged must not pass as one that did not hold."""
    found = decided(0.01, 1.0, of(AGE="17", PAY_0=0), of(AGE=True, PAY_0=0), of(AGE=None, PAY_0=0))
    assert found.outcomes == ["refer", "decline", "refer"]
    assert found.unread == {0: ("AGE",)}
    assert found.rules == {0: ("age_unknown",), 1: ("under_age",), 2: ("age_unknown",)}


def test_what_verify_finds_of_rules_and_scores_is_what_was_decided() -> None:
    """In every combination, by code of its own."""
    applications = [of(AGE=age, PAY_0=late) for age in (17, 40, None, "x") for late in (0, 4)]
    for probability in (0.1, 0.3, 0.9):
        for percentile in (1.0, 99.0):
            found = decided(probability, percentile, *applications)
            assert found.program is not None
            for row, outcome in enumerate(found.outcomes):
                crossed = probability >= 0.3, percentile >= 99.0
                held, unread = found.rules.get(row, ()), row in found.unread
                assert by_policy(found.program.policy, held, crossed, unread=unread) == outcome


BAD = [
    (
        "action: decline\n    severity: critical",
        "action: challenge\n    severity: critical",
        "approved, reviewed or declined",
    ),
    ("    adverse_action: Unable to verify age\n", "", "is to be told why; give the words"),
    ("actions: {probability: decline,", "actions: {otherwise: review, probability: decline,", "let it approve"),
    ("attributes: {AGE: number}", "lists: [blocked]", "a policy of applications has no lists"),
    ("attributes: {AGE: number}\n", "", "AGE is unknown"),
    ("attributes: {AGE: number}", "attributes: {AGE: text}", "a text and a number are held against each other"),
    ("judges: applications\n", "", "attributes of payments have their types in the source spec"),
]


@pytest.mark.parametrize(("old", "new", "said"), BAD)
def test_a_policy_that_cannot_decide_about_applications_is_a_sentence(old: str, new: str, said: str) -> None:
    """When it is loaded, never first on an application."""
    assert old in TEXT
    with pytest.raises(PolicyError, match=said):
        program(TEXT.replace(old, new))


def test_a_policy_of_payments_decides_about_no_application_and_the_reverse() -> None:
    """Even one that reads nothing but scores."""
    scores_only = "name: x\nversion: 1\nrules: []\n"
    policy = parse_policy(scores_only)
    with pytest.raises(PolicyError, match="it judges payments, and the bundle applications"):
        compile_policy(policy, known_to(BUNDLE, policy))
    fraud = load_bundle(Path(ROOT) / "deploy/bundles/fraud", ANYBODY).manifest
    with pytest.raises(PolicyError, match="it judges applications, and the bundle payments"):
        compile_policy(parse_policy(TEXT), known_of(fraud.feature_spec, fraud.source))
