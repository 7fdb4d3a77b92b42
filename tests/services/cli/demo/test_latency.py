"""Percentiles of latencies."""

import numpy as np
import pytest

from services.cli.demo.latency import LATENCY_MS_MAX, Latencies


@pytest.mark.parametrize("percent", [1, 50, 99, 99.9, 100])
def test_percentiles_are_those_of_the_sorted_values(percent: float) -> None:
    """The least value that the share does not exceed (numpy's inverted_cdf)."""
    values = np.random.default_rng(1).integers(0, 3000, 1237)
    latencies = Latencies()
    latencies.add(values[:600].tolist())
    latencies.add(values[600:].tolist())
    assert latencies.percentile_ms(percent) == np.percentile(values, percent, method="inverted_cdf")


def test_only_the_last_periods_are_recent() -> None:
    """Older ones stay in the whole."""
    latencies = Latencies(periods_max=2)
    latencies.add([1000])
    latencies.turn()
    latencies.add([10, 10, 10])
    assert latencies.recent_percentile_ms(100) == 1000
    latencies.turn()
    assert latencies.recent_percentile_ms(100) == 10
    assert latencies.percentile_ms(100) == 1000


def test_impossible_latencies_count_at_the_ends() -> None:
    """Clocks that differ, and a stall of hours."""
    latencies = Latencies()
    latencies.add([-5, 10**9])
    assert latencies.percentile_ms(1) == 0
    assert latencies.percentile_ms(100) == LATENCY_MS_MAX


def test_nothing_has_no_percentile() -> None:
    """None, not zero."""
    assert Latencies().percentile_ms(50) is None
    assert Latencies().recent_percentile_ms(50) is None
