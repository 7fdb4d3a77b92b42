"""A card's last payments: what is kept of `scores`, what makes way, and the chart that is made of it. Without Kafka."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import codec
from schemas.score import Score
from services.console.pages import payments as of_cases
from services.console.payments import PaymentFollower, Payments, _readable, hash_of
from services.console.timeline import SHOWN_MAX, timeline
from services.settings.kafka import KafkaSettings, TopicSettings
from tests.services.cases.test_stream import alert
from tests.services.console.stand import Stand, case_of, running
from tests.services.console.test_gate import client

CARD = "card-pseudonym-0001"


def score(number: int, card_id: str = CARD, **changes: Any) -> Score:
    """The card's payment of that minute."""
    return Score(
        transaction_id=f"tx-{number}",
        event_time_ms=60_000 * number,
        card_id=card_id,
        reconstruction_error=0.1,
        model="fraud/1@cpu",
        **{"probability": number / 1000, "anomaly_percentile": 50.0, "alert": False, **changes},
    )


def test_the_newest_payments_are_held_and_the_oldest_make_way() -> None:
    """Of all cards together; a card's come in the order of their time, whatever the order of the log."""
    held = Payments(100)
    held.add([score(n, f"card-{n % 3}") for n in range(60)])
    held.add([score(n, f"card-{n % 3}") for n in reversed(range(60, 150))])
    assert len(held) == 100
    times = [one.event_time_ms // 60_000 for one in held.of("card-1", 1000)]
    assert times == [n for n in range(50, 150) if n % 3 == 1]
    assert [one.event_time_ms // 60_000 for one in held.of("card-1", 2)] == times[-2:]
    assert held.of("card-9", 5) == []
    held.add([score(n) for n in range(1000)])
    assert len(held) == len(held.of(CARD, 1000)) == 100


def test_what_is_no_score_is_left_out_and_the_others_are_not() -> None:
    """As `scores` has them."""
    values = [codec.write(score(1)), b"no score", codec.write(score(2))]
    assert [one.transaction_id for one in _readable(values)] == ["tx-1", "tx-2"]
    assert [one.transaction_id for one in _readable(values[:1])] == ["tx-1"]


def test_the_chart_has_alerts_with_their_money_and_other_payments_with_their_scores() -> None:
    """Each payment once; both scores as lines over time; at most so many."""
    case = case_of([alert(5, CARD, amount=120.0), alert(9, CARD, amount=80.0)], 0)
    held = Payments(1000)
    first = case.listed[0]
    held.add([score(n) for n in range(3)])
    same = {"transaction_id": first.transaction_id, "event_time_ms": first.event_time_ms}
    held.add([score(5, alert=True).model_copy(update=same)])
    found = of_cases([case], held.of(CARD, 100))
    assert len(found) == 5
    assert {hash_of(first.transaction_id)} <= {one.payment for one in held.of(CARD, 100)}
    chart = timeline(found)
    assert chart is not None
    assert (len(chart.marks), chart.alerts, chart.amount_max) == (5, 2, 120.0)
    assert [mark.payment.amount for mark in chart.marks].count(None) == 3
    assert len(chart.probability_line.split()) == len(chart.anomaly_line.split()) == 5
    many = timeline(of_cases([case], [one for n in range(100) for one in _known(n)]))
    assert many is not None
    assert (len(many.marks), many.left_out) == (SHOWN_MAX, 102 - SHOWN_MAX)


def _known(number: int) -> Any:
    held = Payments(1)
    held.add([score(number)])
    return held.of(CARD, 1)


@pytest.fixture
def stand(tmp_path: Path, users_file: Path) -> Iterator[Stand]:
    """Two cases of one card."""
    cases = [case_of([alert(5, CARD)], 0), case_of([alert(900, CARD)], 10)]
    with running(tmp_path, users_file, cases) as stand:
        yield stand


def test_a_case_shows_the_cards_payments_with_links_to_its_other_cases(stand: Stand) -> None:
    """Without `scores` the page says that it shows alerts only; no id of a payment that is no alert is on it."""
    ana = client(stand, "ana")
    assert "Alerts only: other payments are not known here" in ana.get("/cases/0-10").text
    stand.desk.payments = PaymentFollower(KafkaSettings(), TopicSettings(), 100)
    assert stand.desk.payments.payments is not None
    stand.desk.payments.payments.add([score(n) for n in range(7)])
    page = ana.get("/cases/0-10").text
    assert "Both scores of 9 payments, 2 of them alerts" in page
    assert "All 9 payments in numbers" in page
    assert '<td><a href="/cases/0-0">0-0</a></td>' in page
    assert "Alerts only" not in page
    assert "tx-3<" not in page
    stand.desk.payments.problem = "TopicAuthorizationFailedError"
    assert (
        "Alerts only: other payments are not known here (TopicAuthorizationFailedError)" in ana.get("/cases/0-10").text
    )
