"""Delayed performance of credit by hand: who was declined, and whose loan is still open, counts for nothing."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from schemas.credit import ChallengerOutcome, CreditOutcome
from schemas.credit_label import CreditLabel, Repayment
from schemas.monitor import Evidence, QualityReport
from services.monitor.evidence import DecidedApplication, of_application, of_credit_label
from services.monitor.ledger import DAY_MS, Ledger
from services.monitor.quality import OF_APPLICATIONS, by_age, roc_auc

MODEL = "credit/1@cpu"


def decision(i: int, day: int, probability: float, outcome: CreditOutcome = "approve", **more: Any) -> Evidence:
    """Of the i-th application, made on a day."""
    fields = {"application_id": f"a-{i}", "event_time_ms": day * DAY_MS, "model": MODEL, "outcome": outcome}
    (evidence,) = of_application(DecidedApplication(**fields, probability=probability, **more))  # type: ignore[arg-type]
    return evidence


def test_a_challengers_outcome_is_evidence_of_its_own_and_rules_count_once() -> None:
    """Under its own name, weighing as much: each application is recorded whatever it says."""
    said = ChallengerOutcome(model="credit/2@cpu", probability=0.7, anomaly_percentile=3.0, outcome="refer")
    fields = {
        "application_id": "a-1",
        "event_time_ms": DAY_MS,
        "model": MODEL,
        "outcome": "approve",
        "probability": 0.2,
    }
    decided = DecidedApplication(**fields, challenger=said, policy="p/1@0123456789ab", rules=("r",))  # type: ignore[arg-type]
    judged = [one.judged for one in of_application(decided)]
    assert all(one is not None for one in judged)
    found = [(one.model, one.probability, one.alert, one.weight, one.rules) for one in judged if one is not None]
    assert found == [(MODEL, 0.2, False, 1.0, ("r",)), ("credit/2@cpu", 0.7, True, 1.0, ())]


def label(i: int, verdict: Repayment, day: int, offset: int = 0) -> Evidence:
    """Said on a day."""
    said = CreditLabel(application_id=f"a-{i}", verdict=verdict, labelled_at_ms=day * DAY_MS)
    return of_credit_label(said, 0, offset)


def reports(*evidence: Evidence, maturity_days: int = 365) -> dict[int, QualityReport]:
    """By age."""
    ledger = Ledger({}, 1_000, 800 * DAY_MS)
    assert all(ledger.add(one) for one in evidence)
    found = by_age(ledger.columns()[MODEL], ledger.now_ms, maturity_days, OF_APPLICATIONS)
    return {report.age_days_min: report for report in found}


def test_only_applications_with_a_label_count_and_nothing_is_said_of_those_declined() -> None:
    """Of six old ones four have a label: one of the three approved defaulted, as did the one granted nevertheless."""
    found = reports(
        decision(0, 0, 0.1),
        decision(1, 0, 0.2),
        decision(2, 0, 0.2),
        decision(3, 0, 0.5, "decline"),
        decision(4, 0, 0.6, "decline"),
        decision(5, 0, 0.05),
        label(0, "repaid", 400),
        label(1, "default", 100),
        label(2, "repaid", 399),
        label(4, "default", 200),
    )
    (old,) = found.values()
    assert (old.mature, old.payments, old.labelled) == (True, 6.0, 4)
    assert (old.frauds, old.alerts, old.fraud_alerts) == (2.0, 1.0, 1.0)
    assert old.passed_bad_rate == pytest.approx(1 / 3)
    assert old.precision == 1.0
    assert old.recall is None, "defaults among those declined are not seen"
    assert old.roc_auc == pytest.approx(roc_auc_score([0, 1, 0, 1], [0.1, 0.2, 0.2, 0.6]))
    assert old.brier == pytest.approx(np.mean([0.1**2, 0.8**2, 0.2**2, 0.4**2]))


def test_young_loans_are_apart_and_the_last_label_of_an_application_counts() -> None:
    """A default that turned out to be an error, and one of a month ago."""
    found = reports(
        decision(0, 0, 0.3),
        decision(1, 390, 0.2),
        decision(2, 395, 0.2),
        label(0, "default", 90, offset=0),
        label(0, "repaid", 400, offset=1),
        label(1, "default", 420, offset=2),
    )
    assert [(age, report.mature, report.labelled) for age, report in sorted(found.items())] == [
        (0, False, 1),
        (365, True, 1),
    ]
    assert found[365].frauds == 0.0
    assert found[0].passed_bad_rate == 1.0, "defaults come first: young ages are not to be judged by"
    assert found[0].payments == 2.0


def test_a_rule_in_shadow_shows_the_defaults_that_it_would_have_spared() -> None:
    """Knock-out rules that decide have no labels to be judged by; those in shadow have."""
    ruled = {"policy": "credit/1@0123456789ab", "shadow_rules": ("late",)}
    found = reports(
        decision(0, 0, 0.1, **ruled),
        decision(1, 0, 0.1, **ruled),
        decision(2, 0, 0.1),
        label(0, "default", 400, offset=0),
        label(1, "repaid", 400, offset=1),
        label(2, "repaid", 400, offset=2),
    )
    (rule,) = found[365].rules
    assert (rule.rule, rule.state, rule.hits, rule.precision) == ("late", "shadow", 2.0, 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_of_a_library_with_weights_and_ties(seed: int) -> None:
    """Against scikit-learn's."""
    random = np.random.default_rng(seed)
    probability, weight = np.round(random.random(400), 2), random.random(400)
    bad = random.random(400) < probability
    wanted = roc_auc_score(bad, probability, sample_weight=weight)
    assert roc_auc(probability, bad, weight) == pytest.approx(wanted)
    assert roc_auc(probability, np.zeros(400, bool), weight) is None
