"""A policy's budget: committed sums in, commands that move its thresholds out. Pure.

The same sums in the same order give the same commands: the only clock is the payments' own. Each time the controller takes
the mildest thresholds with which the rest of the day, as far as earlier days and today show it, uses what is left.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.policy.budget import Local, ladder_of, local, today_of
from schemas import codec
from schemas.budget import DAYS_AHEAD_MAX, KEPT_DAYS_MAX, STEPS, Budget, BudgetDay, BudgetState, BudgetSums, KeptDay
from schemas.control import Control
from schemas.metric import ScoringMetric

PAYMENTS_MIN = 200
"""Before so many payments of a day nothing is said of the rest of it, where no day before is known."""

INTERVAL_MS = 5 * 60_000
"""Of the payments' time: thresholds move once in it, or when SPENT of the day's budget went since they did."""

SPENT = 0.1
HYSTERESIS = 2
"""Steps that are not worth a command."""

PACE_MAX = 3.0
"""What is left is not spent faster than so many times an even pace, so that no evening is flooded."""

DAYS_COMPARED = 3
"""A day's habit is the median of so many: one day of an attack does not make the next one strict."""

PRIOR = 0.1
"""How much of a day the day before counts in the guess of today's traffic."""

SWAP_MS = 60_000
"""So long after a swap sums of the policy before are no way back to it: partitions swap one after the other."""

Table = MutableMapping[bytes, bytes]
Array = NDArray[np.float64]


def state_problem(message: Any) -> str | None:
    """Why an entry of `monitor-budgets` cannot be used, if so."""
    message.key.decode()
    codec.read(BudgetState, message.value)
    return None


@dataclass(slots=True)
class Budgets:
    """The budget of each policy line. table: by line; a Faust table, or a dict in tests."""

    table: Table
    _states: dict[str, BudgetState] = field(default_factory=dict)

    def recover(self) -> None:
        """After the table was filled from its topic, or taken away."""
        self._states = {line.decode(): codec.read(BudgetState, value) for line, value in self.table.items()}

    def add(self, sums: ScoringMetric, offset: int) -> tuple[BudgetState, Control | None] | None:
        """Take in sums once: what is known now, and a command where thresholds are to move. None where nothing is new.

        `keep` makes it last, once the command is written.
        """
        if sums.budget is None:
            return None
        before = self._states.get(sums.budget.policy.name)
        if before is not None and offset <= before.offset and sums.clock_ms <= before.clock_ms:
            return None  # later payments than any of before are no repetition: the topic was made again
        state = _added(before, sums, sums.budget, offset)
        step = wanted_step(state)
        if step is None or not _worth_it(state, step):
            if not _astray(state):
                return state, None
            step = state.step
        fields = {"step": step, "commanded_ms": state.clock_ms, "commanded_used": used_today(state)}
        return state.model_copy(update=fields), _command(state, step, offset, sums.until_ms)

    def keep(self, state: BudgetState) -> None:
        """Remember what `add` returned."""
        line = state.sums.policy.name
        self._states[line] = state
        self.table[line.encode()] = codec.write(state)


def _command(state: BudgetState, step: int, offset: int, at_ms: int) -> Control:
    sums = state.sums
    return Control(
        kind="command",
        group=sums.group,
        channel="thresholds",
        command_id=f"budget-{sums.policy.digest[:12]}-{offset}",
        at_ms=at_ms,
        by="monitor",
        bundle=sums.policy,
        thresholds=ladder_of(sums.budget).thresholds(step),
    )


def wanted_step(state: BudgetState) -> int | None:
    """The mildest step with which the rest of the day uses no more than is left; None while too little is known."""
    budget, today = state.sums.budget, today_of(state)
    if today is None:
        return None
    now = local(state.clock_ms, budget.time_zone)
    before = [day for day in state.days if day.counted.day < now.day and day.counted.payments]
    if not before and today.counted.payments < PAYMENTS_MIN:
        return None
    over, left, whole_day = _traffic(today, before, now)
    use = _use(today, before[-DAYS_COMPARED:], over)
    remaining = budget.per_day - today.counted.used
    if remaining <= 0.0:
        return STEPS
    fits = np.flatnonzero((use * left <= remaining) & (use * whole_day <= PACE_MAX * budget.per_day))
    return int(fits[0]) if len(fits) else STEPS


def _traffic(today: KeptDay, before: list[KeptDay], now: Local) -> tuple[float, float, float]:
    """The share of the day's payments that is over, how many are still to come, and how many a day has."""
    hours = np.sum([day.hours for day in before], axis=0, dtype=np.float64) if before else np.zeros(24)
    hours += max(1.0, float(hours.sum())) / 24 / 20  # so that no hour is impossible
    shares = hours / hours.sum()
    begin = 0 if before else int(np.flatnonzero(today.hours)[0]) if any(today.hours) else now.hour
    over = float(shares[begin : now.hour].sum() + shares[now.hour] * now.of_hour)
    left = 1.0 - float(shares[: now.hour].sum() + shares[now.hour] * now.of_hour)
    prior = PRIOR if before else 0.0
    last = before[-1].counted.payments if before else 0
    whole = (today.counted.payments + prior * last) / max(over + prior, 1e-3)
    return over, whole * left, whole


def _use(today: KeptDay, before: list[KeptDay], over: float) -> Array:
    """float64[STEPS + 1]: what a payment uses on average at each step."""
    now = _use_of(today.counted)
    if not before:
        return now
    habit: Array = np.median([_use_of(day.counted) for day in before], axis=0)
    return habit if today.counted.payments == 0 else (1.0 - over) * habit + over * now


def _use_of(day: BudgetDay) -> Array:
    weights = np.zeros(STEPS + 1)
    weights[list(day.steps)] = day.weights
    use: Array = (np.cumsum(weights[::-1])[::-1] + day.fixed) / max(1, day.payments)
    return use


def _worth_it(state: BudgetState, step: int) -> bool:
    if step == state.step:
        return False
    if state.step < 0:
        return True
    used = used_today(state)
    if step == STEPS and used >= state.sums.budget.per_day:
        return True
    if abs(step - state.step) <= HYSTERESIS:
        return False
    spent = used - state.commanded_used if used >= state.commanded_used else used
    return state.clock_ms - state.commanded_ms >= INTERVAL_MS or spent >= SPENT * state.sums.budget.per_day


def _astray(state: BudgetState) -> bool:
    """Whether scorers hold other thresholds than they were commanded, long after that: it was lost, or the group is another."""
    if state.step < 0 or state.clock_ms - state.commanded_ms < INTERVAL_MS:
        return False
    return state.sums.moved != ladder_of(state.sums.budget).thresholds(state.step)


def used_today(state: BudgetState) -> float:
    """What the day of the payments' clock has used."""
    today = today_of(state)
    return today.counted.used if today is not None else 0.0


def _added(before: BudgetState | None, metric: ScoringMetric, sums: BudgetSums, offset: int) -> BudgetState:
    clock_ms = max(metric.clock_ms, before.clock_ms if before is not None else 0)
    now = local(clock_ms, sums.budget.time_zone)
    known = before if before is not None and _alike(before.sums.budget, sums.budget) else None
    days = {kept.counted.day: kept for kept in known.days} if known is not None else {}
    for one in sums.days:
        if one.day <= now.day + DAYS_AHEAD_MAX:
            days[one.day] = _grown(days.get(one.day), one, now)
    kept = tuple(days[day] for day in sorted(days))[-KEPT_DAYS_MAX:]
    about = sums.model_copy(update={"days": ()})
    if before is None or (before.sums.policy != sums.policy and not _late(before, sums, metric.until_ms)):
        replaced = before.sums.policy if before is not None else None
        return BudgetState(
            offset=offset, sums=about, replaced=replaced, since_ms=metric.until_ms, clock_ms=clock_ms, days=kept
        )
    if before.sums.policy == sums.policy:
        return before.model_copy(update={"offset": offset, "sums": about, "clock_ms": clock_ms, "days": kept})
    return before.model_copy(update={"offset": offset, "days": kept if known is not None else before.days})


def _late(before: BudgetState, sums: BudgetSums, until_ms: int) -> bool:
    """Whether they are of a partition that has not swapped yet."""
    return sums.policy == before.replaced and abs(until_ms - before.since_ms) < SWAP_MS


def _alike(one: Budget, other: Budget) -> bool:
    """Whether what was counted for one budget says something of the other."""
    return one.model_copy(update={"per_day": other.per_day}) == other


def _grown(kept: KeptDay | None, more: BudgetDay, now: Local) -> KeptDay:
    hour = now.hour if more.day == now.day else 23 if more.day < now.day else 0
    hours = np.array(kept.hours if kept is not None else (0,) * 24)
    hours[hour] += more.payments
    day = more if kept is None else _sum(kept.counted, more)
    return KeptDay(counted=day, hours=tuple(hours.tolist()))


def _sum(one: BudgetDay, other: BudgetDay) -> BudgetDay:
    weights = np.zeros(STEPS + 1)
    for day in (one, other):
        weights[list(day.steps)] += day.weights
    steps = np.flatnonzero(weights)
    return BudgetDay(
        day=one.day,
        payments=one.payments + other.payments,
        used=one.used + other.used,
        fixed=one.fixed + other.fixed,
        steps=tuple(steps.tolist()),
        weights=tuple(weights[steps].tolist()),
    )
