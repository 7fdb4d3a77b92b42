"""The overview: what the monitor found, what the registry says, what was decided. Without Kafka."""

import time
from pathlib import Path

import pytest

from models.bundle.registry import Registry
from schemas import codec
from schemas.budget import Budget, BudgetDay, BudgetState, BudgetSums, KeptDay, PercentileBounds
from schemas.control import BundleRef
from schemas.registry import RegistryEvent
from services.clock import wall_ms
from services.console import kept, overview
from services.console.model import Finding
from services.console.overview import Overview, Promotions
from services.settings.bundles import BundleSettings
from services.trusted_bundles import registry_of
from tests.services.cases.test_stream import alert
from tests.services.console.conftest import Client
from tests.services.console.stand import case_of, running

DAY_MS = 86_400_000
POLICY = BundleRef(name="fraud", version=3, digest="0" * 64)
BUDGET = Budget(per_day=50, time_zone="UTC", anomaly_percentile=PercentileBounds(lowest=99.0, highest=100.0))


def budget(used: float, day: int) -> Finding:
    """A policy's budget, and how much of it a day used."""
    counted = BudgetDay(day=day, payments=900, used=used, fixed=2.0)
    sums = BudgetSums(group="assay", policy=POLICY, budget=BUDGET, days=(counted,))
    state = BudgetState(sums=sums, days=(KeptDay(counted=counted, hours=(0,) * 24),), step=3, clock_ms=day * DAY_MS)
    return Finding("budget:fraud", "budget", 5, codec.write(state))


def page(directory: Path, users_file: Path, *findings: Finding, bundles: BundleSettings | None = None) -> str:
    """The overview as a risk officer sees it, after an analyst confirmed one case and dismissed another."""
    cases = [case_of([alert(n, f"card-pseudonym-{n:04d}", amount=100.0 + n)], 10 * n) for n in range(4)]
    with running(directory, users_file, cases, findings, bundles) as stand:
        analyst, officer = (Client(base_url=stand.url, timeout=30) for _ in range(2))
        analyst.login("ana")
        analyst.submit("/cases/0-10/decide", action="confirm", version="1")
        analyst.submit("/cases/0-20/decide", action="dismiss", version="1")
        officer.login("risk-officer")
        return officer.get("/overview").text


def test_it_says_what_today_cost_and_found(tmp_path: Path, users_file: Path) -> None:
    """The budget of today, and money of confirmed and dismissed cases by age."""
    found = page(tmp_path, users_file, budget(60.0, wall_ms() // DAY_MS))
    assert '<dd class="bad">60</dd>' in found
    assert "alerts of 50 a day, fraud/3" in found
    assert "moved by the budget" in found
    assert '<td class="num">1</td><td class="num">101.00</td><td class="num">1</td><td class="num">102.00</td>' in found


def test_a_budget_of_another_day_is_named_so(tmp_path: Path, users_file: Path) -> None:
    """Nothing of yesterday passes for today's."""
    assert "(02 Jan 1970)" in page(tmp_path, users_file, budget(10.0, 1))


def test_it_says_who_promoted_what_decides(tmp_path: Path, users_file: Path) -> None:
    """By the registry's history: promoted, and rolled back."""
    bundles = BundleSettings(registry_url=str(tmp_path / "registry"))
    registry: Registry = registry_of(bundles)
    for version in (1, 2):
        ref = BundleRef(name="fraud", version=version, digest=str(version) * 64)
        registry.publish(b"-", RegistryEvent(action="publish", bundle=ref, at_ms=5, by="ci"))
        promoted = RegistryEvent(
            action="promote", bundle=ref, channel="champion", at_ms=6, by="rosa", why="better recall"
        )
        registry.promote(promoted)
    registry.rollback(
        "fraud",
        lambda before: RegistryEvent(
            action="rollback", bundle=before, channel="champion", at_ms=7, by="otto", why="alerts doubled"
        ),
    )
    found = page(tmp_path, users_file, bundles=bundles)
    assert "<td>fraud/1</td>" in found
    assert "<td>otto</td>" in found
    assert "<b>otto</b> rolled back to model fraud/1, decides" in found
    assert "<b>rosa</b> promoted model fraud/2, decides" in found


def test_without_monitor_and_registry_it_says_what_is_missing(tmp_path: Path, users_file: Path) -> None:
    """Sentences with the next step, no empty tables."""
    found = page(tmp_path, users_file)
    assert "assay monitor run" in found
    assert "ASSAY_REGISTRY_URL is not set" in found
    assert "assay what-if --page" in found


def test_the_report_of_the_bundle_that_scores_is_shown_in_a_sandbox(
    tmp_path: Path, users_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verified with its bundle: one that no one trusted signed shows none."""
    monkeypatch.delenv("ASSAY_BUNDLE", raising=False)
    for demo, status in ((True, 200), (False, 404)):
        bundles = BundleSettings(demo_bundle=demo, registry_url=None)
        with running(tmp_path, users_file, [], bundles=bundles) as stand:
            officer = Client(base_url=stand.url, timeout=30)
            officer.login("risk-officer")
            answer = officer.get("/overview/report")
        assert answer.status_code == status
    assert "No bundle is set" in answer.text


def test_views_of_the_page_do_not_read_the_registries_each_time(
    tmp_path: Path, users_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one does; after a minute one is served what is known, and the registries are read beside it."""
    now_s, reads = [1000.0], list[float]()
    for module in (overview, kept):
        monkeypatch.setattr(module, "monotonic_s", lambda: now_s[0])
    read = Overview._promotions

    def counted(self: Overview) -> Promotions:
        reads.append(now_s[0])
        return read(self)

    monkeypatch.setattr(Overview, "_promotions", counted)
    with running(tmp_path, users_file, [], bundles=BundleSettings(registry_url=str(tmp_path / "registry"))) as stand:
        for second in range(0, 55, 11):  # the figures themselves are older than they may be each time
            now_s[0] = 1000.0 + second
            stand.desk.overview.figures()
        assert reads == [1000.0]
        now_s[0] = 1071.0
        first = stand.desk.overview.figures()
        deadline_s = time.monotonic() + 20
        while len(reads) < 2 or stand.desk.overview._promoted._reading.locked():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        now_s[0] = 1082.0
        assert stand.desk.overview.figures().promotions_at_ms > first.promotions_at_ms
        assert reads == [1000.0, 1071.0]
