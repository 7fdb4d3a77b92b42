"""The budgets' part of the monitor: commands on `control`, what is known on `monitor-budgets`, figures as metrics."""

from typing import Any

import structlog

from models.policy.budget import ladder_of
from schemas import codec
from schemas.budget import STEPS, BudgetState
from schemas.control import command_key
from schemas.metric import ScoringMetric
from schemas.topics import CONTROL, MONITOR_BUDGETS
from services.faust_runtime.app import SideApp
from services.monitor.budget import Budgets, state_problem, used_today
from services.observability.low_rate_metrics import BudgetMetrics

log = structlog.get_logger(__name__)

PARTITIONS_MAX = 10_000


class BudgetControl:
    """Moves thresholds. What it commands follows from the records that it read, so a repetition commands the same."""

    def __init__(self, app: SideApp, metrics: BudgetMetrics) -> None:
        self._app, self._metrics = app, metrics
        table = app.table(MONITOR_BUDGETS, 1, state_problem)
        self._budgets = Budgets(table)
        self._counted: dict[tuple[str, int], str] = {}
        app.recovered(table, self._budgets.recover)

    async def take(self, sums: ScoringMetric, message: Any) -> None:
        """The next sums of `scoring-metrics`."""
        self._follow(sums)
        found = self._budgets.add(sums, message.offset)
        if found is None:
            return
        state, command = found
        if command is not None:
            # written first: a crash in between writes it twice, and the last of a key counts
            key = command_key(command.group, "thresholds")
            await self._app.send(CONTROL, key, codec.write(command), source=message)
            self._metrics.budget_moves.labels(state.sums.policy.name).inc()
            log.info("budget.moved", policy=str(command.bundle), thresholds=str(command.thresholds), step=state.step)
        self._budgets.keep(state)
        self._show(state)

    def _follow(self, sums: ScoringMetric) -> None:
        """Show nothing of a line whose budget no partition counts any more: it ended with its policy."""
        place, counted = (sums.source_topic, sums.source_partition), self._counted
        before = counted.pop(place, None)
        if sums.budget is not None:
            counted[place] = sums.budget.policy.name
        if len(counted) > PARTITIONS_MAX:
            del counted[next(iter(counted))]
        if before is not None and before not in counted.values():
            self._metrics.forget_budget(before)

    def _show(self, state: BudgetState) -> None:
        line, metrics = state.sums.policy.name, self._metrics
        metrics.budget_per_day.labels(line).set(state.sums.budget.per_day)
        metrics.budget_used.labels(line).set(used_today(state))
        if state.step < 0:
            return
        metrics.budget_strictness.labels(line).set(state.step / STEPS)
        moved = ladder_of(state.sums.budget).thresholds(state.step)
        for score in ("probability", "anomaly_percentile"):
            if (value := getattr(moved, score)) is not None:
                metrics.budget_threshold.labels(line, score).set(value)
