"""The controller of a budget, driven over a simulated month without Kafka; what it reads is what a scorer counts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from models.policy.budget import ladder_of, local, local_days, today_of
from models.policy.program import CHALLENGE, REVIEW
from models.scoring.scores import Scores
from schemas.budget import STEPS, Budget, BudgetState, ProbabilityBounds
from schemas.control import BundleRef, Control, MovedThresholds
from schemas.metric import ScoringMetric
from services.monitor.budget import Budgets, used_today
from services.monitor.budget_control import BudgetControl
from services.observability.low_rate_metrics import BudgetMetrics
from services.scorer.budget_sums import BudgetCounter
from services.scorer.decide import Outcomes

DAY_MS = 86_400_000
TICK_MS = 120_000
BEGIN_MS = 1_772_319_600_000  # 2026-03-01 00:00 in Berlin, so that the change to summer time is among the days
POLICY = BundleRef(name="fraud", version=1, digest="a" * 64)
BUDGET = Budget(per_day=50.0, time_zone="Europe/Berlin", probability=ProbabilityBounds(lowest=0.3, highest=0.9999))
PAYMENTS_A_DAY = 20_000


@dataclass
class _Ruling:
    rules: dict[int, tuple[str, ...]] = field(default_factory=dict)
    action: Any = None


@dataclass
class _Ruled:
    alert: NDArray[np.bool_]
    ruling: _Ruling = field(default_factory=_Ruling)


def sums_of(
    times_ms: NDArray[np.int64],
    probability: NDArray[np.float32],
    threshold: float,
    counter: BudgetCounter,
    moved: MovedThresholds | None = None,
) -> tuple[ScoringMetric, NDArray[np.bool_]]:
    """What a scorer writes of these payments, counted by its own counter."""
    alert = probability >= np.float32(threshold)
    nothing = np.zeros(len(alert), np.bool_)
    scores = Scores(probability, np.zeros(len(alert), np.float32), np.zeros(len(alert), np.float32))
    counter.reset()
    judged = Outcomes(alert, nothing, nothing), _Ruled(alert)
    counter.count(times_ms, np.ones(len(alert)), scores, *judged, moved=moved)  # type: ignore[arg-type]
    zeros = dict.fromkeys(("records", "scored", "alerts", "dead_letters", "late", "first_offset", "last_offset"), 0)
    metric = ScoringMetric(
        source_topic="transactions",
        source_partition=0,
        until_ms=int(times_ms[-1]),
        model="fraud/1@cpu",
        amount_sum=0.0,
        alert_amount_sum=0.0,
        probability_histogram=(),
        anomaly_percentile_histogram=(),
        clock_ms=int(times_ms[-1]),
        budget=counter.sums(),
        **zeros,
    )
    return metric, alert


@dataclass
class Month:
    """A stream of payments whose controller is asked every two minutes.

    scale: how far scores are pushed up at a day and hour; attack: how many payments of an attack come in a tick of it.
    commands: every one that the controller gave; alerts: by local day.
    """

    scale: Callable[[int, float], float]
    attack: Callable[[int, float], int]
    threshold: float
    table: dict[bytes, bytes] = field(default_factory=dict)
    commands: list[Control] = field(default_factory=list)
    alerts: dict[int, int] = field(default_factory=dict)
    moved: MovedThresholds | None = None

    def run(self, days: range, *, controlled: bool = True, restarted_at: frozenset[int] = frozenset()) -> "Month":
        """restarted_at: ticks before which the controller is a new one, with what its table has."""
        rng, counter = np.random.default_rng(7), BudgetCounter("g", POLICY, BUDGET)
        budgets, ticks = Budgets(self.table), DAY_MS // TICK_MS
        for tick in range(days.start * ticks, days.stop * ticks):
            metric = self._tick(tick, rng, counter)
            if metric is None or not controlled:
                continue
            if tick in restarted_at:
                budgets = Budgets(self.table)
                budgets.recover()
            found = budgets.add(metric, tick)
            assert found is not None
            state, command = found
            budgets.keep(state)
            assert budgets.add(metric, tick) is None, "a repetition commands nothing"
            if command is not None:
                self.commands.append(command)
                assert command.thresholds is not None
                assert command.thresholds.probability is not None
                assert BUDGET.holds(command.thresholds)
                self.threshold, self.moved = command.thresholds.probability, command.thresholds
        return self

    def _tick(self, tick: int, rng: np.random.Generator, counter: BudgetCounter) -> ScoringMetric | None:
        now_ms = BEGIN_MS + tick * TICK_MS
        day, hour = divmod(tick * TICK_MS / 3_600_000, 24)
        busy = 0.3 + 1.4 * np.exp(-(((hour - 14) / 5) ** 2)) * (0.6 if int(day) % 7 >= 5 else 1.0)
        usual = rng.poisson(PAYMENTS_A_DAY * TICK_MS / DAY_MS * busy)
        # log-odds of a usual payment: one in 100 is above 0.3, and their tail thins out as that of a calibrated score does
        odds = rng.normal(-6.0, 2.2, usual) + self.scale(int(day), hour)
        odds = np.append(odds, rng.normal(3.5, 1.5, self.attack(int(day), hour)))
        if not len(odds):
            return None
        times_ms = np.sort(now_ms + rng.integers(0, TICK_MS, len(odds)))
        probability = (1 / (1 + np.exp(-odds))).astype(np.float32)
        metric, alert = sums_of(times_ms, probability, self.threshold, counter, self.moved)
        for one, said in zip(local_days(times_ms, BUDGET.time_zone).tolist(), alert.tolist(), strict=True):
            self.alerts[one] = self.alerts.get(one, 0) + said
        return metric


def drift(day: int, hour: float) -> float:
    """From the tenth day on scores creep up; on the twentieth a feature breaks."""
    return 0.08 * max(0, min(day, 20) - 10) + (0.5 if day >= 20 else 0.0)


def raid(day: int, hour: float) -> int:
    """An attack of three hours on the fifteenth day: as many payments a minute as the budget has a day."""
    return 20 if day == 15 and 10 <= hour < 13 else 0


OWN = 0.51
"""The policy's own threshold: on calm days it makes about 50 alerts."""


@pytest.mark.slow
def test_a_budget_of_50_a_day_holds_within_a_fifth_over_a_month_with_a_drift_and_an_attack() -> None:
    """Every day of it, the first and that of the attack among them."""
    month = Month(drift, raid, OWN).run(range(30))
    by_day = [month.alerts[day] for day in sorted(month.alerts)][:30]
    assert all(40 <= count <= 60 for count in by_day), by_day
    assert len(month.commands) < 30 * 288


def test_without_the_controller_the_drift_and_the_attack_break_the_budget() -> None:
    """The same payments by the policy's own threshold: held on a calm day, broken by both."""
    calm, attacked, broken = (
        sum(Month(drift, raid, OWN).run(range(day, day + 1), controlled=False).alerts.values()) for day in (5, 15, 20)
    )
    assert 30 <= calm <= 70
    assert attacked > 500
    assert broken > 100


def test_the_same_sums_give_the_same_commands_through_restarts_of_the_controller() -> None:
    """Its only memory is the table, its only clock the payments' own."""
    straight = Month(drift, raid, OWN).run(range(15, 17))
    restarted = Month(drift, raid, OWN).run(range(15, 17), restarted_at=frozenset(range(15 * 720, 17 * 720, 97)))
    assert straight.commands == restarted.commands
    assert len(straight.commands) > 20


def metric_of(number: int, policy: BundleRef, moved: MovedThresholds | None = None, **about: Any) -> ScoringMetric:
    """Sums of 1,000 payments of a moment, of which one in ten is above 0.5."""
    times_ms = np.full(1000, BEGIN_MS + number * 20_000, np.int64)
    probability = np.tile(np.linspace(0.05, 0.55, 10, dtype=np.float32), 100)
    counter = BudgetCounter("g", policy, BUDGET.model_copy(update=about))
    metric, _ = sums_of(times_ms, probability, 0.5, counter, moved)
    return metric


def test_a_new_version_of_the_policy_goes_on_with_what_the_days_before_showed() -> None:
    """Commanded at once; a partition that swaps later is no way back; another ladder begins from nothing."""
    two, three = (POLICY.model_copy(update={"version": version, "digest": f"{version}" * 64}) for version in (2, 3))
    budgets = Budgets({})
    for number in range(5):
        found = budgets.add(metric_of(number, POLICY), number)
        assert found is not None
        budgets.keep(found[0])
    found = budgets.add(metric_of(5, two, per_day=70.0), 5)
    assert found is not None
    state, command = found
    assert command is not None
    assert command.bundle == two
    assert state.days[0].counted.payments == 6000
    budgets.keep(state)
    late = budgets.add(metric_of(6, POLICY), 6)
    assert late is not None
    assert (late[0].sums.policy, late[0].days[0].counted.payments) == (two, 7000)
    other = budgets.add(metric_of(7, three, probability=ProbabilityBounds(lowest=0.2, highest=0.9)), 7)
    assert other is not None
    assert other[0].days[0].counted.payments == 1000


def kept(budgets: Budgets, sums: ScoringMetric, offset: int) -> tuple[BudgetState, Control | None]:
    """What the controller makes of sums that are new to it."""
    found = budgets.add(sums, offset)
    assert found is not None
    budgets.keep(found[0])
    return found


def test_thresholds_that_scorers_do_not_hold_are_commanded_again() -> None:
    """A command that was lost, a group of another name: five minutes of the payments' time later, until they hold."""
    budgets = Budgets({})
    _, first = kept(budgets, metric_of(0, POLICY), 0)
    assert first is not None
    given = [kept(budgets, metric_of(number, POLICY), number)[1] for number in range(1, 31)]
    again = [one for one in given if one is not None]
    assert [one.thresholds for one in again] == [first.thresholds] * 2, "in ten minutes"
    assert len({one.command_id for one in (first, *again)}) == 3
    given = [kept(budgets, metric_of(number, POLICY, first.thresholds), number)[1] for number in range(31, 80)]
    assert not any(given)
    other = metric_of(80, POLICY)
    assert other.budget is not None
    other = other.model_copy(update={"budget": other.budget.model_copy(update={"group": "renamed"})})
    _, command = kept(budgets, other, 80)
    assert command is not None
    assert (command.group, command.thresholds) == ("renamed", first.thresholds)


def test_sums_of_a_topic_that_was_made_again_count_and_repeated_ones_do_not() -> None:
    """Offsets begin at 0 again, and the payments are later ones; a repetition has none that is."""
    budgets = Budgets({})
    for number in range(3):
        kept(budgets, metric_of(number, POLICY), 500 + number)
    assert budgets.add(metric_of(2, POLICY), 502) is None
    assert budgets.add(metric_of(1, POLICY), 1) is None
    state, _ = kept(budgets, metric_of(3, POLICY), 0)
    assert (state.offset, state.days[0].counted.payments) == (0, 4000)
    state, _ = kept(budgets, metric_of(3, POLICY), 1)
    assert state.days[0].counted.payments == 5000


def test_payments_that_are_dated_ahead_push_out_no_day_and_begin_none() -> None:
    """Today stays today; what no payment can be dated is not counted."""
    budgets = Budgets({})
    first, _ = kept(budgets, metric_of(0, POLICY), 0)
    (today,) = first.days
    for ahead in range(1, 12):
        metric = metric_of(ahead, POLICY)
        assert metric.budget is not None
        (day,) = metric.budget.days
        moved = metric.budget.model_copy(update={"days": (day.model_copy(update={"day": day.day + ahead}),)})
        state, _ = kept(budgets, metric.model_copy(update={"budget": moved}), ahead)
    assert [one.counted.day - today.counted.day for one in state.days] == [0, 1, 2]
    assert today_of(state) == today
    assert used_today(state) == today.counted.used


def test_a_scorer_whose_clock_is_ahead_does_not_hold_up_the_way_back_to_a_policy() -> None:
    """Sums of the policy before are late for a minute of any clock."""
    two = POLICY.model_copy(update={"version": 2, "digest": "2" * 64})
    budgets = Budgets({})
    kept(budgets, metric_of(0, POLICY), 0)
    ahead = metric_of(1, two)
    kept(budgets, ahead.model_copy(update={"until_ms": ahead.until_ms + 3_600_000}), 1)
    state, command = kept(budgets, metric_of(2, POLICY), 2)
    assert state.sums.policy == POLICY
    assert command is not None


def test_where_the_budget_is_used_up_thresholds_go_to_their_highest_at_once() -> None:
    """However short ago they moved."""
    budgets, given = Budgets({}), []
    for number in range(3):
        found = budgets.add(metric_of(number, POLICY), number)
        assert found is not None
        budgets.keep(found[0])
        given.append(found[1])
    moved = [command.thresholds for command in given if command is not None]
    assert moved[-1] == ladder_of(BUDGET).thresholds(STEPS) == MovedThresholds(probability=0.9999)


def test_what_rules_ask_for_is_used_and_moved_by_no_threshold() -> None:
    """Counted apart, so that the thresholds make room for it."""
    counter, probability = BudgetCounter("g", POLICY, BUDGET), np.array([0.1, 0.9, 0.95, 0.4, 0.2], np.float32)
    alert, nothing = np.array([True, True, True, False, False]), np.zeros(5, np.bool_)
    scores = Scores(probability, nothing.astype(np.float32), nothing.astype(np.float32))
    ruled = _Ruled(alert, _Ruling({0: ("large",), 2: ("large",), 3: ("ours",)}))
    outcomes = Outcomes(alert & (probability > 0.5), nothing, nothing)
    counter.count(np.full(5, BEGIN_MS), np.ones(5), scores, outcomes, ruled)  # type: ignore[arg-type]
    (day,) = counter.sums().days
    assert (day.payments, day.used, day.fixed) == (5, 3.0, 2.0)
    assert day.weights == (1.0,), "only 0.9 is the thresholds' alone: 0.4 a rule approves, 0.2 is below the lowest"
    (step,) = day.steps
    bounds = ladder_of(BUDGET).thresholds(step).probability, ladder_of(BUDGET).thresholds(step + 1).probability
    assert bounds[0] <= 0.9 < bounds[1]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("counts", "used"), [("reviews", 1.0), ("challenged_good", pytest.approx(100.0 * 0.1 + 50.0 * 0.6))]
)
def test_reviews_and_the_money_of_challenged_good_payments_can_be_counted(counts: Any, used: float) -> None:
    """Money: each challenged payment's amount times the probability that it is no fraud; refunds count nothing."""
    budget = BUDGET.model_copy(update={"counts": counts})
    counter, probability = BudgetCounter("g", POLICY, budget), np.array([0.9, 0.9, 0.4, 0.9], np.float32)
    nothing = np.zeros(4, np.bool_)
    scores = Scores(probability, nothing.astype(np.float32), nothing.astype(np.float32))
    ruled = _Ruled(nothing, _Ruling(action=np.array([CHALLENGE, REVIEW, CHALLENGE, CHALLENGE], np.int8)))
    amounts = np.array([100.0, 20.0, 50.0, -30.0])
    counter.count(np.full(4, BEGIN_MS), amounts, scores, Outcomes(nothing, nothing, nothing), ruled)  # type: ignore[arg-type]
    assert counter.sums().days[0].used == used


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia"]
)
def test_scorer_and_monitor_agree_on_the_day_in_every_season(zone: str) -> None:
    """Where clocks change at midnight, by half an hour, or leave out a day."""
    times = np.random.default_rng(3).integers(946_684_800_000, 4_102_444_800_000, 1000)
    assert [local(at, zone).day for at in times.tolist()] == local_days(times, zone).tolist()


class Side:
    """What the controller asks of the app."""

    def table(self, *_: Any) -> dict[bytes, bytes]:
        """As Faust's."""
        return {}

    def recovered(self, *_: Any) -> None:
        """Nothing is, here."""

    async def send(self, *_: Any, **__: Any) -> None:
        """Nowhere."""


async def test_figures_of_a_budget_end_with_the_last_partition_that_counts_it() -> None:
    """Else its alarms would stay for as long as the monitor runs."""
    registry = CollectorRegistry()
    control = BudgetControl(Side(), BudgetMetrics(registry))  # type: ignore[arg-type]
    with_budget = metric_of(0, POLICY)
    without = with_budget.model_copy(update={"budget": None})
    shown = []
    for offset, (sums, partition) in enumerate(((with_budget, 0), (with_budget, 1), (without, 0), (without, 1))):
        await control.take(sums.model_copy(update={"source_partition": partition}), SimpleNamespace(offset=offset))
        shown.append(registry.get_sample_value("assay_budget_strictness", {"line": "fraud"}))
    assert shown == [1.0, 1.0, 1.0, None]
    names = ("per_day", "used", "threshold")
    labels = ({"line": "fraud"}, {"line": "fraud"}, {"line": "fraud", "score": "probability"})
    assert not any(
        registry.get_sample_value(f"assay_budget_{name}", of) for name, of in zip(names, labels, strict=True)
    )
