"""Alerts and actions into cases, without Kafka: a case per card and window, what people decide, what repeats change."""

import json

import pytest

from schemas import codec
from schemas.alert import Alert, Reason, ShownAttribute
from schemas.base import COUNT_MAX
from schemas.case import ALERTS_MAX, Case, CaseAction
from schemas.lists import ListEntry, entry_key
from schemas.times import EVENT_TIME_MS_MAX
from services.cases.desk import Desk, Limits
from services.cases.grouping import Source, joined
from services.cases.listing import Listing
from tests.services.cases.test_stream import HOUR_MS, alert

DAY_MS = 24 * HOUR_MS
NOW_MS = 1_700_000_000_000


def desk() -> Desk:
    """Empty."""
    return Desk({}, {}, Limits(window_ms=DAY_MS, expire_ms=14 * DAY_MS, keep_ms=30 * DAY_MS))


def at(offset: int, partition: int = 0, timestamp_ms: int = NOW_MS, taken_in_ms: int = NOW_MS) -> Source:
    """A place in the log, and when the service got there."""
    return Source(partition, offset, timestamp_ms, taken_in_ms)


def stored(one: Desk) -> dict[str, Case]:
    """The cases in the table."""
    return {key.decode(): codec.read(Case, value) for key, value in one.cases.items()}


def test_the_alerts_of_a_card_within_a_window_are_one_case_and_the_next_window_is_another() -> None:
    """The window is in event time, from the first alert."""
    one = desk()
    hours = [0, 5, 23, 24, 30]
    for offset, hour in enumerate(hours):
        one.alert(alert(hour * 60, "a"), at(offset))
    one.alert(alert(60, "b"), at(5))
    cases = stored(one)
    assert {case_id: (case.card_id, case.alerts) for case_id, case in cases.items()} == {
        "0-0": ("a", 3),
        "0-3": ("a", 2),
        "0-5": ("b", 1),
    }
    assert cases["0-0"].priority == pytest.approx(3 * 75.0)
    assert cases["0-0"].amount == 300.0
    assert [listed.transaction_id for listed in cases["0-3"].listed] == ["tx-a-1440", "tx-a-1800"]
    assert one.open_cases == 3


def test_a_case_lists_its_alerts_attributes_as_people_are_shown_them() -> None:
    """Parsed as the service parses them; an alert of an earlier version has none."""
    one, parse = desk(), codec.decoder(Alert)
    shown = (ShownAttribute(name="device", words="Device", text="d-1"),)
    for offset, attributes in enumerate((shown, ())):
        one.alert(parse(codec.write(alert(offset, "a", attributes=attributes))), at(offset))
    assert [listed.attributes for listed in stored(one)["0-0"].listed] == [shown, ()]


def test_an_alert_that_the_log_repeats_changes_nothing_even_after_a_restart() -> None:
    """At least once becomes once."""
    one = desk()
    alerts = [alert(n, "a") for n in range(5)]
    for offset, each in enumerate(alerts):
        one.alert(each, at(offset))
    before = dict(one.cases)
    heir = Desk(dict(one.cases), {}, one.limits)
    heir.recover()
    for repeated in (one, heir):
        assert [repeated.alert(each, at(offset)) for offset, each in enumerate(alerts)] == [None] * 5
        assert repeated.cases == before


def test_a_long_case_lists_its_first_alerts_and_counts_them_all() -> None:
    """A record stays small."""
    one = desk()
    for offset in range(2 * ALERTS_MAX):
        one.alert(alert(offset, "a"), at(offset))
    (case,) = stored(one).values()
    assert (case.alerts, len(case.listed), case.version) == (2 * ALERTS_MAX, ALERTS_MAX, 2 * ALERTS_MAX)


def test_reasons_are_ranked_by_how_many_alerts_name_them() -> None:
    """In the words of the alert that the feature moved most."""
    one = desk()

    def reason(feature: str, contribution: float) -> Reason:
        return Reason(
            feature=feature, value=1.0, contribution=contribution, score="probability", text=f"{feature} {contribution}"
        )

    one.alert(alert(0, "a", reasons=(reason("x", 0.9), reason("y", 0.1))), at(0))
    one.alert(alert(1, "a", reasons=(reason("y", 0.3),)), at(1))
    (case,) = stored(one).values()
    assert [(r.feature, r.alerts, r.text) for r in case.reasons] == [("y", 2, "y 0.3"), ("x", 1, "x 0.9")]


def test_a_feature_that_moved_both_scores_is_one_reason_of_the_alert() -> None:
    """By its stronger part; the alert has its case, the first of a card as a later one."""
    one = desk()
    parts = (("probability", 0.2, "new"), ("anomaly_percentile", 0.7, "newer"))
    reasons = tuple(
        Reason(feature="new_device", value=1.0, contribution=part, score=score, text=text)  # type: ignore[arg-type]
        for score, part, text in parts
    )
    for offset in (0, 1):
        found = one.alert(alert(offset, "a", reasons=reasons), at(offset))
        assert found is not None
        assert [(r.feature, r.alerts, r.text) for r in found.reasons] == [("new_device", offset + 1, "newer")]


def decide(one: Desk, action: str, offset: int, case_id: str = "0-0") -> Case | None:
    """An analyst's action."""
    return one.act(CaseAction(action=action, case_id=case_id, by="ana"), at(offset))  # type: ignore[arg-type]


def test_a_rule_that_holds_is_a_reason_in_its_own_words() -> None:
    """An alert that a rule alone raised has no factor of a score, and an analyst reads what the rule means."""
    one = desk()
    ruled = alert(0, "a", triggers=(), reasons=(), rules=("large",), rule_words=("a large payment",), action="review")
    opened = one.alert(ruled, at(0))
    assert opened is not None
    assert [(reason.feature, reason.text, reason.alerts) for reason in opened.reasons] == [
        ("large", "a large payment", 1)
    ]
    both = one.alert(alert(1, "a", rules=("large",), rule_words=("a large payment",)), at(1))
    assert both is not None
    assert [(reason.feature, reason.alerts) for reason in both.reasons] == [("large", 2), ("amount", 1)]


def test_a_decision_closes_the_case_and_labels_what_it_lists() -> None:
    """Confirmed is fraud, dismissed is legitimate; the last decision counts."""
    one = desk()
    for offset in range(2):
        one.alert(alert(offset, "a"), at(offset))
    for offset, (action, state, verdict) in enumerate(
        [("dismiss", "dismissed", "legitimate"), ("confirm", "confirmed", "fraud")]
    ):
        labels = one.labels(CaseAction(action=action, case_id="0-0", by="ana"), at(offset))  # type: ignore[arg-type]
        assert [(lab.transaction_id, lab.verdict, lab.source) for lab in labels] == [
            (f"tx-a-{n}", verdict, "analyst") for n in range(2)
        ]
        changed = decide(one, action, offset)
        assert changed is not None
        assert (changed.state, changed.decided_by) == (state, "ana")
    assert one.labels(CaseAction(action="confirm", case_id="0-0", by="ana"), at(1)) == []
    assert decide(one, "dismiss", 1) is None  # repeated by the log
    assert decide(one, "confirm", 9, "7-7") is None  # no such case


def test_a_dismissed_case_opens_again_on_stronger_evidence_only() -> None:
    """What was judged is not asked again."""
    one = desk()
    one.alert(alert(0, "a"), at(0))
    decide(one, "dismiss", 0)
    weaker = one.alert(alert(1, "a", probability=0.7), at(1))
    stronger = one.alert(alert(2, "a", probability=0.95), at(2))
    assert weaker is not None
    assert stronger is not None
    assert (weaker.state, weaker.change) == ("dismissed", "alert")
    assert (stronger.state, stronger.change) == ("open", "reopened")
    decide(one, "confirm", 1)
    after = one.alert(alert(3, "a", probability=1.0), at(3))
    assert after is not None
    assert after.state == "confirmed"


def test_an_alert_that_meets_a_forged_case_without_alerts_opens_it() -> None:
    """Found by `make fuzz`: the alert was left out, so who could write one case hid a card from the analysts."""
    one = desk()
    opened = one.alert(alert(0, "a"), at(0))
    assert opened is not None
    forged = opened.model_copy(update={"state": "dismissed", "listed": ()})
    one.cases[b"0-0"] = codec.write(forged)
    one.recover()
    found = one.alert(alert(1, "a", probability=0.1), at(1))
    assert found is not None
    assert (found.state, found.change) == ("open", "reopened")


def test_a_count_at_its_bound_stays_there() -> None:
    """Found by `make fuzz`: a forged case of so many alerts is refused in the codec's words, not with pydantic's error."""
    one = desk()
    opened = one.alert(alert(0, "a"), at(0))
    assert opened is not None
    reason = opened.reasons[0].model_copy(update={"alerts": COUNT_MAX})
    full = opened.model_copy(update={"alerts": COUNT_MAX - 1, "reasons": (reason,)})
    assert joined(full, alert(1, "a"), at(1)).reasons[0].alerts == COUNT_MAX
    with pytest.raises(codec.SchemaError):
        joined(full.model_copy(update={"alerts": COUNT_MAX}), alert(1, "a"), at(1))


def test_time_expires_open_cases_and_forgets_closed_ones_by_actions_in_the_log() -> None:
    """So that a case made again from the log is the same."""
    one = desk()
    one.alert(alert(0, "a"), at(0))
    assert list(one.due(NOW_MS + 14 * DAY_MS)) == []
    ((case, expire),) = one.due(NOW_MS + 15 * DAY_MS)
    assert (case.case_id, expire.action) == ("0-0", "expire")
    changed = one.act(expire, at(0, timestamp_ms=NOW_MS + 15 * DAY_MS, taken_in_ms=NOW_MS + 15 * DAY_MS))
    assert changed is not None
    assert changed.state == "expired"
    ((_, forget),) = one.due(NOW_MS + 46 * DAY_MS)
    assert forget.action == "forget"
    one.act(forget, at(1))
    assert one.cases == {}
    assert one.open_cases == 0


def mute(one: Desk, action: str, scope: str, muted_id: str, until_ms: int | None = None, partition: int = 0) -> None:
    """Snooze, suppress or neither."""
    one.act(
        CaseAction(action=action, scope=scope, muted_id=muted_id, until_ms=until_ms, by="ana"),  # type: ignore[arg-type]
        at(0, partition),
    )


def test_a_muted_card_or_terminal_makes_no_case_until_its_time_is_over() -> None:
    """Snoozed until a time of the log's clock, suppressed for good, until it is taken back."""
    one = desk()
    mute(one, "mute", "card", "a", NOW_MS + HOUR_MS)
    mute(one, "mute", "terminal", "terminal-1")
    assert one.alert(alert(0, "a"), at(0)) is None
    assert one.alert(alert(1, "b"), at(1)) is None
    assert one.alert(alert(0, "a"), at(2, timestamp_ms=NOW_MS + HOUR_MS)) is not None
    assert one.alert(alert(1, "b"), at(3, timestamp_ms=NOW_MS + 999 * DAY_MS)) is None
    mute(one, "unmute", "terminal", "terminal-1")
    assert one.alert(alert(1, "b"), at(4)) is not None


def test_no_record_holds_a_clock_of_this_machine() -> None:
    """The same alerts and actions give the same cases whenever they are taken in; only what expiry counts from differs."""

    def run(taken_in_ms: int) -> dict[str, object]:
        one = desk()
        one.alert(alert(0, "a"), at(0, taken_in_ms=taken_in_ms))
        one.act(CaseAction(action="confirm", case_id="0-0", by="ana", case_version=1), at(0, taken_in_ms=taken_in_ms))
        one.act(CaseAction(action="dismiss", case_id="0-0", by="ben", case_version=1), at(1, taken_in_ms=taken_in_ms))
        fields: dict[str, object] = json.loads(one.cases[b"0-0"])
        assert fields.pop("taken_in_at_ms") == taken_in_ms
        return fields

    assert run(NOW_MS) == run(NOW_MS + 99 * DAY_MS)
    assert run(NOW_MS)["changed_at_ms"] == NOW_MS


def test_a_case_at_the_end_of_time_can_be_read_again() -> None:
    """Its window ends where times end; and what an implausible moment would make of a case is never written."""
    one = desk()
    last = alert(0, "a").model_copy(update={"event_time_ms": EVENT_TIME_MS_MAX - 1})
    assert one.alert(last, at(0)) is not None
    assert stored(one)["0-0"].window_end_ms == EVENT_TIME_MS_MAX
    confirm = CaseAction(action="confirm", case_id="0-0", by="x")
    with pytest.raises(codec.RejectedError):
        one.act(confirm, at(7, timestamp_ms=NOW_MS * 1000))
    assert one.act(confirm, at(8)) is not None
    assert stored(one)["0-0"].state == "confirmed"


def test_a_confirmed_card_is_put_on_the_list_and_an_overruled_confirmation_takes_it_off() -> None:
    """A dismissal of an open case, and a decision that is refused or repeated, change no list."""
    one, listing = desk(), Listing("blocked", keep_ms=DAY_MS)
    one.alert(alert(0, "a"), at(0))

    def decide(verb: str, offset: int, **changes: object) -> ListEntry | None:
        action = CaseAction(action=verb, case_id="0-0", by="ana", note="called", **changes)  # type: ignore[arg-type]
        entry = listing.entry(one.case_of(action, at(offset)), action, at(offset))
        one.act(action, at(offset))
        return entry

    assert decide("dismiss", 1) is None
    confirmed = decide("confirm", 2)
    assert confirmed is not None
    assert (confirmed.value, confirmed.field, confirmed.expires_at_ms) == ("a", "card_id", NOW_MS + DAY_MS)
    assert (confirmed.by, confirmed.reason, confirmed.source, confirmed.removed) == ("ana", "called", "case 0-0", False)
    assert decide("confirm", 2) is None, "repeated by the log"
    assert decide("dismiss", 3, case_version=1) is None, "refused: it overrules nothing"
    taken_off = decide("dismiss", 4, overrule=True)
    assert taken_off is not None
    assert taken_off.removed
    assert entry_key(taken_off) == entry_key(confirmed)
