"""Scores and labels joined, and the figures of them: against scikit-learn, by age, weighted, once each."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss

from schemas import codec
from schemas.decision import ChallengerScore
from schemas.label import Label
from schemas.monitor import Evidence
from schemas.topics import LABELS, MONITOR_EVIDENCE
from services.engine.faults import TimeLimits
from services.faust_runtime.app import SideApp
from services.monitor.evidence import RecordedDecision, of_decision, of_label, weight
from services.monitor.ledger import DAY_MS, KEPT_MS, Ledger
from services.monitor.quality import by_age, figures
from services.monitor.service import _Quality
from services.monitor.watched import OF_FRAUD
from services.settings.monitor import MonitorSettings

NOW_MS = 400 * DAY_MS


def scored(i: int, probability: float, **changes: Any) -> Evidence:
    """The i-th payment's decision, a day after the one before."""
    fields = {
        "transaction_id": f"t{i}",
        "event_time_ms": NOW_MS + i * DAY_MS,
        "probability": probability,
        "alert": probability >= 0.5,
        "model": "m",
        "sample_share": 1.0,
    }
    return of_decision(RecordedDecision(**{**fields, **changes}))[0]


def told(i: int, verdict: str, offset: int = 0, labelled_at_ms: int = NOW_MS) -> Evidence:
    """Its label."""
    label = Label(
        transaction_id=f"t{i}",
        verdict=verdict,  # type: ignore[arg-type]
        source="chargeback",
        labelled_at_ms=labelled_at_ms,
        event_time_ms=NOW_MS + i * DAY_MS,
    )
    return of_label(label, 0, offset)


def test_a_recorded_decision_stands_for_those_that_were_not_recorded_or_not_seen_to_their_end() -> None:
    """A blocked payment tells nothing; the control group speaks for it."""

    def of(**changes: Any) -> float:
        fields = {"transaction_id": "t", "event_time_ms": 1, "probability": 0.5, "alert": True, "model": "m"}
        return weight(RecordedDecision(**{**fields, **changes}))

    assert of() == 1.0
    assert of(alert=False, sample_share=0.01) == pytest.approx(100.0)
    assert of(control_share=0.05, let_through=True) == pytest.approx(20.0)
    assert of(control_share=0.05, let_through=False) == 0.0


def test_score_and_label_meet_whichever_comes_first() -> None:
    """And what the log repeats says nothing new."""
    ledger = Ledger({}, 100)
    evidence = [scored(0, 0.9), told(0, "fraud"), told(1, "fraud"), scored(1, 0.1), scored(2, 0.2)]
    assert [ledger.add(one) for one in evidence] == [True] * 5
    assert [ledger.add(one) for one in evidence] == [False] * 5
    columns = ledger.columns()["m"]
    assert columns.fraud.tolist() == [True, True, False]
    assert columns.labelled.tolist() == [True, True, False]


def test_the_last_label_counts_and_a_repeated_older_one_does_not_come_back() -> None:
    """The rule of schemas/label.py, under repetition."""
    ledger = Ledger({}, 100)
    for one in (scored(0, 0.9), told(0, "fraud", 3), told(0, "legitimate", 8), told(0, "fraud", 3)):
        ledger.add(one)
    assert ledger.columns()["m"].fraud.tolist() == [False]


def test_a_restart_forgets_nothing_and_the_bound_forgets_the_oldest() -> None:
    """Memory is bounded by number and by the age up to which labels come."""
    ledger = Ledger({}, 3)
    for i in range(5):
        ledger.add(scored(i, 0.1))
    assert (len(ledger), ledger.forgotten) == (3, 2)
    heir = Ledger(dict(ledger.table), 3)
    heir.recover()
    assert heir.columns()["m"].event_time_ms.tolist() == ledger.columns()["m"].event_time_ms.tolist()
    assert heir.now_ms == ledger.now_ms
    heir.add(scored(10 + KEPT_MS // DAY_MS, 0.1))
    assert (len(heir), heir.forgotten, len(heir.table)) == (1, 0, 1)


def test_champion_and_challenger_are_judged_by_the_same_label() -> None:
    """And weigh the same: the sampled payment that only the challenger would have alerted counts for those not recorded."""
    unseen = ChallengerScore(model="n", probability=0.2, anomaly_percentile=1.0, alert=False)
    fields = {"transaction_id": "t0", "event_time_ms": NOW_MS, "probability": 0.9, "alert": True, "model": "m"}
    ledger = Ledger({}, 10)
    for one in (*of_decision(RecordedDecision(**fields, challenger=unseen)), told(0, "fraud")):  # type: ignore[arg-type]
        ledger.add(one)
    missed = RecordedDecision(
        transaction_id="t1",
        event_time_ms=NOW_MS,
        probability=0.1,
        alert=False,
        model="m",
        sample_share=0.25,
        challenger=unseen.model_copy(update={"alert": True}),
    )
    assert [one.judged.weight for one in of_decision(missed) if one.judged] == [4.0, 4.0]
    assert list(ledger.columns()) == ["m", "n"]
    assert figures(ledger.columns()["m"], 0, None).recall == 1.0
    assert figures(ledger.columns()["n"], 0, None).recall == 0.0


def test_the_figures_are_scikit_learns() -> None:
    """Weighted, with ties."""
    random = np.random.default_rng(3)
    ledger = Ledger({}, 10_000)
    probability = random.beta(0.5, 3.0, 500).round(2)
    fraud = random.random(500) < probability
    for i in range(500):
        ledger.add(scored(i % 5, float(probability[i]), transaction_id=f"t{i}", sample_share=0.25))
        if fraud[i]:
            ledger.add(told(i, "fraud"))
    columns = ledger.columns()["m"]
    found = figures(columns, 0, None)
    expected = average_precision_score(fraud, probability, sample_weight=columns.weight)
    assert found.average_precision == pytest.approx(expected)
    assert found.brier == pytest.approx(brier_score_loss(fraud, probability, sample_weight=columns.weight))
    alert = probability >= 0.5
    # an alert weighs 1, a payment of the sample 4
    assert found.precision == pytest.approx(fraud[alert].mean())
    assert found.recall == pytest.approx(fraud[alert].sum() / (fraud[alert].sum() + 4 * fraud[~alert].sum()))
    assert found.payments == pytest.approx(alert.sum() + 4 * (~alert).sum())
    assert found.calibration_error is not None
    assert found.calibration_error < 0.1


def test_figures_come_by_age_and_only_the_oldest_is_mature() -> None:
    """A payment that no one complained about yet is not yet legitimate."""
    ledger = Ledger({}, 100)
    for i in range(100):
        ledger.add(scored(i, 0.9))
    found = list(by_age(ledger.columns()["m"], ledger.now_ms, maturity_days=60))
    assert [(r.age_days_min, r.age_days_max, r.mature, r.payments) for r in found] == [
        (0, 7, False, 7.0),
        (7, 30, False, 23.0),
        (30, 60, False, 30.0),
        (60, None, True, 40.0),
    ]
    assert all(report.precision == 0.0 and report.recall is None for report in found)


async def test_a_label_with_a_card_number_becomes_no_evidence() -> None:
    """It is named, counted and passed over; the next one is taken."""
    app, sent = MagicMock(), []
    app.read = lambda schema, message: SideApp.read(app, schema, message)

    async def send(topic: Any, key: bytes, *_: Any, **__: Any) -> None:
        sent.append(key)

    app.send = send
    _Quality(app, MonitorSettings(), OF_FRAUD, TimeLimits(DAY_MS, 0), MagicMock(), scan_ids=True)
    (handle,) = (call.args[1] for call in app.agent.call_args_list if call.args[0] is LABELS)
    for transaction_id in ("a", "4111 1111 1111 1111", "b"):
        label = Label(
            transaction_id=transaction_id, verdict="fraud", source="analyst", labelled_at_ms=1_780_000_000_000
        )
        message = SimpleNamespace(
            topic="labels", partition=0, offset=0, value=codec.write(label), timestamp=1_780_000_000.0
        )
        await handle(SimpleNamespace(message=message))
    assert sent == [b"a", b"b"]
    (skipped,) = app.skipped.record.call_args_list
    assert "1111" not in skipped.args[1]


async def test_evidence_of_a_far_time_moves_no_clock_and_an_implausible_record_is_skipped() -> None:
    """A label dated 2089, in a record that the monitor wrote today: what is known of other payments stays."""
    app, table = MagicMock(), dict[bytes, bytes]()
    app.table.return_value = table
    app.read = lambda schema, message: SideApp.read(app, schema, message)
    _Quality(app, MonitorSettings(), OF_FRAUD, TimeLimits(DAY_MS, 0), MagicMock())
    (handle,) = (call.args[1] for call in app.agent.call_args_list if call.args[0] is MONITOR_EVIDENCE)
    now_ms, far_ms = 1_780_000_000_000, 3_786_000_000_000

    async def evidence(transaction_id: str, labelled_at_ms: int, timestamp: float) -> None:
        label = Label(transaction_id=transaction_id, verdict="fraud", source="analyst", labelled_at_ms=labelled_at_ms)
        value = codec.write(of_label(label, 0, 1))
        await handle(SimpleNamespace(message=SimpleNamespace(topic="e", offset=0, value=value, timestamp=timestamp)))

    await evidence("a", now_ms, now_ms / 1000)
    await evidence("far", far_ms, now_ms / 1000)
    await evidence("implausible", now_ms, now_ms * 1.0)  # Faust keeps seconds
    await evidence("b", now_ms + 1, now_ms / 1000)
    assert sorted(table) == [b"a", b"b"]


def test_each_rules_precision_is_what_labels_say_of_the_payments_of_which_it_holds() -> None:
    """On and in shadow apart, weighted as the rest; the policy of the newest payment comes first."""
    ledger, one, two = Ledger({}, 1000), "fraud/1@0123456789ab", "fraud/2@0123456789ab"
    for i, (policy, rules, shadow) in enumerate(
        [(one, ("large",), ()), (one, ("large", "night"), ()), (two, (), ("large",)), (two, ("night",), ())]
    ):
        ledger.add(scored(i, 0.9, policy=policy, rules=rules, shadow_rules=shadow))
    ledger.add(scored(4, 0.1, policy=two, rules=(), shadow_rules=("large",), sample_share=0.1))
    ledger.add(scored(5, 0.1, policy=two))
    for i, verdict in ((0, "fraud"), (1, "legitimate"), (2, "fraud"), (3, "legitimate")):
        ledger.add(told(i, verdict))
    columns = ledger.columns()["m"]
    ledger.recover()
    assert (columns.ruled == ledger.columns()["m"].ruled).all(), "it comes back from the topic"
    found = figures(columns, 0, None).rules
    assert [(rule.policy, rule.rule, rule.state) for rule in found] == [
        (two, "large", "shadow"),
        (two, "night", "on"),
        (one, "large", "on"),
        (one, "night", "on"),
    ]
    assert [(rule.hits, rule.frauds, rule.labelled) for rule in found] == [
        (11.0, 1.0, 1),
        (1.0, 0.0, 1),
        (2.0, 1.0, 2),
        (1.0, 0.0, 1),
    ]
    assert [rule.precision for rule in found] == [pytest.approx(1 / 11), 0.0, 0.5, 0.0]


def test_what_rules_hold_is_counted_once_a_payment_also_beside_a_challenger() -> None:
    """The challenger's score of the same payment says nothing of the policy."""
    decision = RecordedDecision(
        transaction_id="t",
        event_time_ms=1,
        probability=0.5,
        alert=True,
        model="m",
        policy="fraud/1@0123456789ab",
        rules=("large",),
        challenger=ChallengerScore(model="n", probability=0.1, anomaly_percentile=1.0, alert=False),
    )
    assert [evidence.judged.rules for evidence in of_decision(decision) if evidence.judged] == [("large",), ()]
