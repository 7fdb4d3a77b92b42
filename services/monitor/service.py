"""The monitor's app: sums to drift reports, decisions and labels to quality reports, both on `monitor` and as metrics."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog

from schemas import codec
from schemas.metric import ScoringMetric
from schemas.monitor import DriftReport, Evidence, MonitorReport, QualityReport
from services.engine.faults import Fault, TimeLimits, timestamp_ms
from services.engine.process import Environment
from services.engine.tables import FollowedTable
from services.faust_runtime.app import SideApp
from services.faust_runtime.run import SideService
from services.monitor.budget_control import BudgetControl
from services.monitor.ledger import Columns, Ledger, entry_problem, latest_ms
from services.monitor.quality import by_age
from services.monitor.references import References
from services.monitor.watched import OF_FRAUD, Watched
from services.monitor.windows import Windows, report, window_problem
from services.observability.low_rate_metrics import BudgetMetrics, MonitorMetrics
from services.settings.monitor import MonitorSettings

log = structlog.get_logger(__name__)

HOUR_MS = 3_600_000
FIGURES = (
    "precision",
    "recall",
    "average_precision",
    "roc_auc",
    "passed_bad_rate",
    "brier",
    "calibration_error",
)


def monitor_service(
    settings: MonitorSettings, environment: Environment, watched: Watched = OF_FRAUD, *, scan_ids: bool = False
) -> SideService:
    """One app, and the table of references that it looks up. scan_ids: of labels for card numbers, as of payments."""
    references, registry = References(environment.metrics, watched.references), environment.metrics.registry
    metrics = MonitorMetrics(registry, watched.words)
    of_budgets = BudgetMetrics(registry) if watched.budgets else None
    prefix = environment.topics.topic_prefix
    table = FollowedTable(watched.references, environment.kafka, prefix, references.apply, environment.metrics)

    def build(partitions: dict[str, int], directory: str) -> Sequence[SideApp]:
        app = SideApp(settings.group, environment, directory)
        budgets = None if of_budgets is None else BudgetControl(app, of_budgets)
        _Drift(app, settings, watched, references, metrics, budgets)
        times = TimeLimits(environment.runtime.event_ahead_ms_max, 0)
        _Quality(app, settings, watched, times, metrics, scan_ids=scan_ids)
        return [app]

    return SideService([settings.group], watched.reads, watched.writes, build, [table])


class _Drift:
    """Sums in, drift reports out; and the budgets, which read the same sums."""

    def __init__(
        self,
        app: SideApp,
        settings: MonitorSettings,
        watched: Watched,
        references: References,
        metrics: MonitorMetrics,
        budgets: BudgetControl | None,
    ) -> None:
        self._app, self._references, self._metrics, self._budgets = app, references, metrics, budgets
        self._reports = watched.reports
        table = app.table(watched.windows, 1, window_problem)
        self._windows = Windows(table, settings.window_records, int(settings.window_h * HOUR_MS))
        self._psi_max = settings.psi_max
        app.recovered(table, self._windows.recover)
        app.agent(watched.sums, self._sums)

    async def _sums(self, event: Any) -> None:
        message = event.message
        sums = self._app.read(ScoringMetric, message)
        if sums is not None:
            await self._drift(sums, message)
            if self._budgets is not None:
                await self._budgets.take(sums, message)

    async def _drift(self, sums: ScoringMetric, message: Any) -> None:
        window = self._windows.add(sums, message.offset)
        if window is None:
            return
        self._metrics.sums.inc()
        known = self._references.get(sums.model)
        if known is None:
            self._metrics.unreferenced.inc()
            return
        if self._windows.full(window):
            found = report(window, known, self._psi_max)
            said = MonitorReport(kind="drift", model=sums.model, at_ms=timestamp_ms(message), drift=found)
            # written first: a crash in between writes it twice, under the same position
            await self._app.send(self._reports, sums.model.encode(), codec.write(said), source=message)
            self._windows.start_over(sums.model)
            self._show(sums.model, found)

    def _show(self, model: str, found: DriftReport) -> None:
        for drift in found.distributions:
            self._metrics.psi.labels(model, drift.name).set(drift.psi)
            self._metrics.ks.labels(model, drift.name).set(drift.ks)
        drifted = [drift.name for drift in found.distributions if drift.drifted]
        self._metrics.drifted.labels(model).set(len(drifted))
        self._metrics.windows.labels(model, str(found.drifted).lower()).inc()
        self._metrics.alert_rate.labels(model).set(found.alert_rate)
        if found.challenger is not None:
            self._metrics.alert_rate.labels(found.challenger.challenger).set(found.challenger.alert_rate)
            if found.challenger.agreement is not None:
                self._metrics.agreement.labels(model, found.challenger.challenger).set(found.challenger.agreement)
        if drifted:
            log.warning("drift.found", model=model, distributions=drifted, scored=found.scored)


class _Quality:
    """Decisions and labels to the partition where they meet; from there to reports."""

    def __init__(
        self,
        app: SideApp,
        settings: MonitorSettings,
        watched: Watched,
        times: TimeLimits,
        metrics: MonitorMetrics,
        *,
        scan_ids: bool = False,
    ) -> None:
        self._watched, self._times, self._scan_ids = watched, times, scan_ids
        self._app, self._metrics, self._maturity_days = app, metrics, settings.maturity_days
        table = app.table(watched.ledger, 1, partial(entry_problem, times.ahead_ms_max))
        self._ledger = Ledger(table, settings.ledger_max, watched.kept_ms)
        self._newest: Any = None
        app.recovered(table, self._ledger.recover)
        app.agent(watched.decisions, self._decision)
        app.agent(watched.labels, self._label)
        app.agent(watched.evidence, self._evidence)
        app.timer(settings.quality_interval_s, "quality", self._report)

    async def _decision(self, event: Any) -> None:
        decision = self._app.read(self._watched.decision, event.message)
        for evidence in self._watched.of_decision(decision) if decision is not None else ():
            await self._forward(evidence, event.message)

    async def _label(self, event: Any) -> None:
        message = event.message
        label = self._app.read(self._watched.label, message)
        if label is None:
            return
        if problem := self._watched.label_problem(label, self._scan_ids):
            self._app.skipped.record(message, problem)
            return
        await self._forward(self._watched.of_label(label, message.partition, message.offset), message)

    async def _forward(self, evidence: Evidence, message: Any) -> None:
        key = evidence.transaction_id.encode()
        await self._app.send(self._watched.evidence, key, codec.write(evidence), source=message, wait=False)

    async def _evidence(self, event: Any) -> None:
        evidence = self._app.read(Evidence, event.message)
        if evidence is None:
            return
        if fault := self._ahead(evidence, event.message):
            self._app.skipped.record(event.message, fault.detail)
            return
        forgotten = self._ledger.forgotten
        if self._ledger.add(evidence):
            self._newest = event.message
            self._metrics.forgotten.inc(self._ledger.forgotten - forgotten)
            self._metrics.ledger.set(len(self._ledger))

    def _ahead(self, evidence: Evidence, message: Any) -> Fault | None:
        """A time that the ledger's clock must not follow. The monitor wrote the record, so its timestamp is not the payer's."""
        judged = () if evidence.judged is None else (evidence.judged,)
        return self._times.fault(message, "a time of the evidence", latest_ms(judged, evidence.told))

    async def _report(self) -> None:
        """When there was anything new. By a timer, since labels come seldom and each would change every figure a little."""
        message, self._newest = self._newest, None
        if message is None:
            return
        self._metrics.rule_precision.clear()  # rules of a policy that decides no longer
        for model, columns in self._ledger.columns().items():
            try:
                await self._report_model(model, columns, message)
            except Exception as error:
                self._app.skipped.work("quality", error)

    async def _report_model(self, model: str, columns: Columns, message: Any) -> None:
        for quality in by_age(columns, self._ledger.now_ms, self._maturity_days, self._watched.reading):
            said = MonitorReport(kind="quality", model=model, at_ms=timestamp_ms(message), quality=quality)
            await self._app.send(self._watched.reports, model.encode(), codec.write(said), source=message)
            self._show(model, quality)

    def _show(self, model: str, quality: QualityReport) -> None:
        age = f"{quality.age_days_min}-{quality.age_days_max or ''}"
        for figure in FIGURES:
            value = getattr(quality, figure)
            if value is not None:
                self._metrics.quality.labels(model, age, figure).set(value)
        self._metrics.labelled.labels(model, age).set(quality.labelled)
        if not quality.rules:
            return
        newest = quality.rules[0].policy
        for rule in quality.rules:
            if rule.policy == newest and rule.precision is not None:
                self._metrics.rule_precision.labels(rule.rule, rule.state, age).set(rule.precision)
