"""Drift by hand: the indices, and windows of partial sums that are taken in once."""

import math
from typing import Any

import numpy as np
import pytest

from schemas.metric import ScoringMetric
from schemas.monitor import DriftWindow, ModelReference
from schemas.reference import FeatureHistogram, Reference
from services.monitor.drift import ks, psi
from services.monitor.windows import Windows, report

EVEN = (100,) * 20


def reference() -> ModelReference:
    """Two features and flat scores."""
    features = tuple(FeatureHistogram(name=name, median=1.0, edges=(0.0, 1.0, 2.0), counts=(500, 500)) for name in "ab")
    told = Reference(
        features=features, probability_counts=EVEN, anomaly_percentile_counts=EVEN, background=((1.0, 1.0),)
    )
    return ModelReference(model="m", bundle_digest="0" * 64, reference=told)


def sums(scored: int, b: tuple[int, int], **changes: Any) -> ScoringMetric:
    """Of one second; feature a as expected."""
    fields = {
        "source_topic": "transactions",
        "source_partition": 0,
        "first_offset": 0,
        "last_offset": 9,
        "until_ms": 1000,
        "model": "m",
        "records": scored,
        "scored": scored,
        "alerts": scored // 10,
        "dead_letters": 0,
        "late": 0,
        "amount_sum": 0.0,
        "alert_amount_sum": 0.0,
        "probability_histogram": (scored // 20,) * 20,
        "anomaly_percentile_histogram": (scored // 20,) * 20,
        "feature_histograms": ((scored // 2, scored // 2), b),
    }
    return ScoringMetric(**{**fields, **changes})


def test_the_index_is_what_its_formula_says() -> None:
    """On shares large enough for the prior not to matter."""
    expected = (0.7 - 0.5) * math.log(0.7 / 0.5) + (0.3 - 0.5) * math.log(0.3 / 0.5)
    assert psi((500_000, 500_000), (700_000, 300_000)) == pytest.approx(expected, rel=1e-5)
    assert psi((10, 20, 30), (100, 200, 300)) == pytest.approx(0.0, abs=5e-3)
    assert math.isfinite(psi((0, 10), (10, 0)))


def test_the_distance_is_the_largest_between_the_two_empirical_distributions() -> None:
    """And 1 where nothing overlaps."""
    random = np.random.default_rng(1)
    one, other = random.integers(0, 6, 500), random.integers(1, 8, 300)
    counts = [np.bincount(values, minlength=8).tolist() for values in (one, other)]
    assert ks(*counts) == pytest.approx(max(abs(np.mean(one <= x) - np.mean(other <= x)) for x in range(8)))
    assert ks((5, 0), (0, 7)) == 1.0


def test_without_drift_the_index_stays_far_below_the_limit() -> None:
    """As its expectation says: (bins - 1) (1/n + 1/m); 200 windows of 2,000 payments in 20 bins."""
    random = np.random.default_rng(2)
    expected = random.multinomial(20_000, [1 / 20] * 20)
    found = [psi(expected.tolist(), random.multinomial(2000, [1 / 20] * 20).tolist()) for _ in range(200)]
    assert np.mean(found) == pytest.approx(19 * (1 / 2000 + 1 / 20_000), rel=0.15)
    assert max(found) < 0.05


def test_a_full_window_names_what_drifted() -> None:
    """The largest index first."""
    windows = Windows({}, records_min=1000)
    opened = windows.add(sums(600, (300, 300)), 0)
    assert opened is not None
    assert not windows.full(opened)
    window = windows.add(sums(600, (0, 600)), 1)
    assert window is not None
    assert windows.full(window)
    found = report(window, reference(), psi_max=0.2)
    assert found.distributions[0].name == "b"
    assert [drift.name for drift in found.distributions if drift.drifted] == ["b"]
    assert found.drifted
    assert (found.scored, found.sums, found.alert_rate) == (1200, 2, 0.1)
    windows.start_over("m")
    fresh = windows.add(sums(20, (10, 10)), 2)
    assert fresh is not None
    assert (fresh.scored, fresh.sums) == (20, 1)


@pytest.mark.parametrize(("days", "compared"), [(2, {"a"}), (7, {"a", "b"})])
def test_what_follows_the_week_is_compared_over_whole_weeks_only(days: int, compared: set[str]) -> None:
    """A weekend is no drift."""
    windows = Windows({}, records_min=10)
    windows.add(sums(600, (0, 600), clock_ms=1), 0)
    window = windows.add(sums(600, (0, 600), clock_ms=1 + days * 86_400_000), 1)
    assert window is not None
    found = report(window, reference().model_copy(update={"weekly": ("b",)}), psi_max=0.2)
    assert {drift.name for drift in found.distributions} == compared | {"probability", "anomaly_percentile"}
    assert found.drifted is (days == 7)


def test_sums_that_the_log_repeats_count_once_even_after_a_restart() -> None:
    """By their offset."""
    table: dict[bytes, bytes] = {}
    windows = Windows(table, records_min=1000)
    windows.add(sums(100, (50, 50)), 7)
    heir = Windows(dict(table), records_min=1000)
    heir.recover()
    for one in (windows, heir):
        assert one.add(sums(100, (50, 50)), 7) is None
        later = one.add(sums(100, (50, 50)), 8)
        assert later is not None
        assert later.scored == 200


def test_sums_in_other_bins_begin_a_window_of_their_own() -> None:
    """Another bundle under a used name; and an old scorer's sums have no features at all."""
    windows = Windows({}, records_min=10)
    windows.add(sums(100, (50, 50)), 0)
    other = windows.add(sums(100, (50, 50), feature_histograms=((1, 2, 3),)), 1)
    assert other is not None
    assert other.scored == 100
    old = windows.add(sums(100, (50, 50), feature_histograms=()), 2)
    assert old is not None
    names = {drift.name for drift in report(old, reference(), 0.2).distributions}
    assert names == {"probability", "anomaly_percentile"}


def test_the_challenger_is_compared_with_the_champion() -> None:
    """Alert rates, agreement, and how far its probability is from the champion's; another one begins a window."""
    windows = Windows({}, records_min=10)
    beside = {
        "challenger": "n",
        "challenger_scored": 100,
        "challenger_alerts": 20,
        "both_alerts": 6,
        "challenger_probability_histogram": (5,) * 20,
    }
    windows.add(sums(100, (50, 50), **beside), 0)
    window = windows.add(sums(100, (50, 50), **beside), 1)
    assert window is not None
    found = report(window, reference(), 0.25).challenger
    assert found is not None
    assert (found.challenger, found.scored, found.alert_rate) == ("n", 200, 0.2)
    assert found.agreement == pytest.approx(12 / (20 + 40 - 12))
    assert found.psi == pytest.approx(0.0)
    other = windows.add(sums(100, (50, 50), **{**beside, "challenger": "o"}), 2)
    assert other is not None
    assert other.scored == 100


def test_an_empty_window_is_what_a_new_model_begins_with() -> None:
    """Nothing taken in yet."""
    assert DriftWindow().offset == -1
