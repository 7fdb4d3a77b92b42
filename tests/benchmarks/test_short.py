"""A short run of each benchmark: that it works and prints its keys. The figures of a shared machine are not judged."""

import json

import pytest

from tests.benchmarks import features, observability, reasons, restart, swaps, throughput


def test_throughput_measures_every_contender() -> None:
    """20,000 payments, one round."""
    result = throughput.measure(20_000, 1)
    for name in ("assay", "limit", "faust"):
        assert result[f"{name}_records_per_s"] > 0
    assert result["assay_to_faust"] > 1
    assert json.loads(json.dumps(result)) == result
    throughput.show(result)


def test_features_measures_every_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 payments, one round, few cards."""
    monkeypatch.setattr(features, "CARDS", (100, 10_000))
    result = features.measure(5000, 1)
    for name in ("fold", "pandas", "polars", "river"):
        assert result[f"{name}_ns_per_event"] > 0
    assert result["fold_ns_per_event"] < result["river_ns_per_event"]
    assert set(result["ns_per_event_by_cards"]) == {"100", "10000"}
    assert json.loads(json.dumps(result)) == result
    features.show(result)


def test_reasons_measures_cost_and_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 payments, one round, few alerts."""
    monkeypatch.setattr(reasons, "ALERTS_MAX", 8)
    monkeypatch.setattr(reasons, "REFERENCE_COALITIONS", 1024)
    result = reasons.measure(20_000, 1)
    assert result["alerts"] > 0
    assert 0 < result["rows_per_alert_mean"] <= result["rows_per_alert_max"]
    assert result["ms_per_alert"] > 0
    assert json.loads(json.dumps(result)) == result
    reasons.show(result)


def test_restart_measures_both_ways_and_changes_no_score() -> None:
    """20,000 cards, one round."""
    result = restart.measure(20_000, 1)
    assert result["restart_s"] > 0
    assert result["restart_without_snapshot_s"] > 0
    assert (result["compared"], result["differing"]) == (20_000 + 2 * restart.FRESH, 0)
    assert json.loads(json.dumps(result)) == result
    restart.show(result)


def test_observability_measures_on_off_and_traced() -> None:
    """40,000 payments, one round: enough for several commits."""
    result = observability.measure(40_000, 1)
    for name in ("off", "on", "traced"):
        assert result[f"{name}_records_per_s"] > 0
    assert json.loads(json.dumps(result)) == result
    observability.show(result)


def test_swaps_under_load_lose_repeat_and_mix_nothing() -> None:
    """A swap every second for nine seconds; `make swaps` does ten minutes."""
    result = swaps.measure(0.2, 500.0, 1.0)
    assert swaps.good(result), result
    assert result["swaps"] >= 2
    assert result["rolled_back"] == 0
    assert result["missing"] == result["duplicate"] == 0
    assert result["scores"] == result["payments"]
    swaps.show(result)
