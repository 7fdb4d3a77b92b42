"""What a risk officer sees: budgets, money, quality, drift, what decides and who promoted it. Of the model and the registry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from models.bundle.files import BundleError
from models.bundle.registry import Registry, holder
from models.policy.budget import today_of
from schemas import codec
from schemas.budget import BudgetState
from schemas.control import BundleRef, RegistryChannel
from schemas.monitor import DriftReport, MonitorReport, QualityReport, RuleQuality
from schemas.registry import RegistryEvent
from services.clock import monotonic_s, wall_ms
from services.console.kept import Kept
from services.console.queries import Decided, Queries
from services.errors import AssayError
from services.settings.bundles import BundleSettings
from services.settings.console import ConsoleSettings
from services.settings.policy import PolicySettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import registry_of, scoring_bundle
from services.trusted_policies import policy_registry_of

AGE_S_MAX = 10.0
REGISTRY_AGE_S_MAX = 60.0
"""A registry may be a web store, and its history one file a step: it is read again after this, beside the pages."""
DAY_MS = 86_400_000
AGES_DAYS = (1, 7, 30, 90)
STEPS_MAX = 12
PAGES_MAX = 50

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held:
    """What holds a channel, and the step that gave it to it."""

    what: str
    channel: RegistryChannel
    ref: BundleRef
    step: RegistryEvent


@dataclass(frozen=True, slots=True)
class Promotions:
    """What decides by the registry, the newest steps of its histories, and why it cannot be said, if so."""

    held: list[Held] = field(default_factory=list)
    steps: list[tuple[str, RegistryEvent]] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetToday:
    """One policy's budget. used: of the newest day that was counted, which is today where is_today."""

    policy: str
    counts: str
    per_day: float
    used: float
    fixed: float
    payments: int
    day: str
    is_today: bool
    is_moved: bool

    @property
    def share(self) -> float:
        """Of the budget; above 1 where it is exceeded."""
        return self.used / self.per_day


@dataclass(frozen=True, slots=True)
class Rules:
    """Precision of rules at one age of payments."""

    model: str
    age: str
    rules: tuple[RuleQuality, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it, at one time."""

    at_ms: int
    opened_today: int
    decided: list[tuple[int, Decided]]
    budgets: list[BudgetToday]
    quality: dict[str, list[QualityReport]]
    rules: list[Rules]
    drift: list[tuple[str, int, DriftReport]]
    promotions: Promotions
    promotions_at_ms: int


@dataclass(slots=True)
class Overview:
    """Reads it, some seconds old at most. Its methods block: pages call them in threads."""

    queries: Queries
    settings: ConsoleSettings
    bundles: BundleSettings
    policies: PolicySettings
    scorer: ScorerSettings
    _kept: tuple[float, Figures] | None = None
    _promoted: Kept[tuple[int, Promotions]] = field(default_factory=lambda: Kept(REGISTRY_AGE_S_MAX))

    def figures(self) -> Figures:
        """Everything that the page shows."""
        if self._kept is None or monotonic_s() - self._kept[0] > AGE_S_MAX:
            self._kept = monotonic_s(), self._read(wall_ms())
        return self._kept[1]

    def _read(self, now_ms: int) -> Figures:
        midnight_ms = now_ms - now_ms % DAY_MS
        reports = [codec.read(MonitorReport, one) for one in self.queries.findings("quality")]
        drifts = [codec.read(MonitorReport, one) for one in self.queries.findings("drift")]
        quality: dict[str, list[QualityReport]] = {}
        for one in sorted(reports, key=lambda one: one.quality.age_days_min if one.quality else 0):
            if one.quality is not None:
                quality.setdefault(one.model, []).append(one.quality)
        promoted_ms, promotions = self._promoted.get(lambda: (wall_ms(), self._promotions()))
        return Figures(
            at_ms=now_ms,
            opened_today=self.queries.opened_since(midnight_ms),
            decided=[(days, self.queries.decided_since(midnight_ms - (days - 1) * DAY_MS)) for days in AGES_DAYS],
            budgets=[_budget(codec.read(BudgetState, one), now_ms) for one in self.queries.findings("budget")],
            quality=quality,
            rules=[found for model, aged in quality.items() if (found := _rules(model, aged))],
            drift=sorted(
                ((one.model, one.at_ms, one.drift) for one in drifts if one.drift), key=lambda one: one[1], reverse=True
            ),
            promotions=promotions,
            promotions_at_ms=promoted_ms,
        )

    def _promotions(self) -> Promotions:
        if self.bundles.registry_url is None:
            return Promotions(problem="ASSAY_REGISTRY_URL is not set for the console: it cannot say who promoted what.")
        try:
            parts = (
                ("model", registry_of(self.bundles), self.bundles.registry_line),
                ("policy", policy_registry_of(self.bundles), self.policies.policy_line),
            )
            found = [_held(*part) for part in parts]
        except (AssayError, BundleError) as error:
            return Promotions(problem=str(error))
        steps = [step for _, some in found for step in some]
        steps.sort(key=lambda step: step[1].at_ms, reverse=True)
        return Promotions([one for held, _ in found for one in held], steps[:STEPS_MAX])

    def report(self) -> bytes:
        """The report of the bundle that scores, verified with it. Raises AssayError, BundleError."""
        found = scoring_bundle(self.scorer, self.bundles).bundle.report
        if found is None:
            raise AssayError("The bundle that scores has no report.")
        return found

    def has_bundle(self) -> bool:
        """Whether the console knows which bundle scores."""
        return self.bundles.registry_url is not None or self.scorer.bundle is not None or self.bundles.demo_bundle

    def pages(self) -> list[str]:
        """Names of the pages in the folder for them, the newest first."""
        if self.settings.pages_dir is None:
            return []
        try:
            found = [
                path for path in self.settings.pages_dir.glob("*.html") if path.is_file() and not path.is_symlink()
            ]
            found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        except OSError:
            return []
        return [path.name for path in found[:PAGES_MAX]]

    def page(self, name: str) -> bytes | None:
        """One of them; None where there is none of that name."""
        directory = self.settings.pages_dir
        if directory is None or name not in self.pages():
            return None
        return _usable(lambda: (Path(directory) / name).read_bytes())


def _usable(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except OSError:
        return None


def _held(what: str, registry: Registry, line: str) -> tuple[list[Held], list[tuple[str, RegistryEvent]]]:
    """What holds each channel of the line, with the last step that says so; and every step of the line."""
    history = [step for step in registry.history() if step.bundle.name == line]
    channels: tuple[RegistryChannel, ...] = ("champion", "challenger")
    found: list[Held] = []
    for channel in channels:
        ref = holder(history, line, channel)
        by = [step for step in history if step.channel == channel and step.action != "withdraw" and step.bundle == ref]
        if ref is not None and by:
            found.append(Held(what, channel, ref, by[-1]))
    return found, [(what, step) for step in history]


def _budget(state: BudgetState, now_ms: int) -> BudgetToday:
    budget, found = state.sums.budget, today_of(state)
    newest = found.counted if found is not None else None
    today = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(budget.time_zone)).date()
    day = datetime.fromtimestamp((newest.day if newest else 0) * DAY_MS / 1000, UTC).date()
    return BudgetToday(
        policy=str(state.sums.policy),
        counts=budget.counts,
        per_day=budget.per_day,
        used=newest.used if newest else 0.0,
        fixed=newest.fixed if newest else 0.0,
        payments=newest.payments if newest else 0,
        day=f"{day:%d %b %Y}" if newest else "no day yet",
        is_today=newest is not None and day == today,
        is_moved=state.step >= 0,
    )


def _rules(model: str, aged: Sequence[QualityReport]) -> Rules | None:
    """Of the oldest payments with a label of a rule's: the surest figure there is."""
    labelled = [one for one in aged if any(rule.labelled for rule in one.rules)]
    if not labelled:
        return None
    return Rules(model, age_words(labelled[-1]), labelled[-1].rules)


def age_words(quality: QualityReport) -> str:
    """Payments of which age, in days."""
    if quality.age_days_max is None:
        return f"{quality.age_days_min} days and older"
    return f"{quality.age_days_min} to {quality.age_days_max} days, so far"


def dashboards(url: str | None) -> list[tuple[str, str]]:
    """Words and address of Grafana's pages."""
    if not url:
        return []
    names: dict[str, Any] = {"risk": "Risk", "business": "Business", "models": "Models", "operations": "Operations"}
    return [(words, f"{url.rstrip('/')}/d/assay-{name}") for name, words in names.items()]
