"""The watch over a new model: quiet on the same traffic, heard when it alerts too much or too little, or takes too long."""

import numpy as np
import pytest

from services.swapping.watch import BASELINE_RECORDS_MAX, Bands, Tally, Watch

BANDS = Bands(records=20_000, alert_ratio_max=3.0, latency_ratio_max=5.0)
BATCH = 100
SECONDS = 0.001


def tally(rate: float, records: int, random: np.random.Generator, seconds: float = SECONDS) -> Tally:
    """What a model with this alert rate did, batch by batch."""
    made = Tally()
    for _ in range(records // BATCH):
        made.add(Tally(1, BATCH, int(random.binomial(BATCH, rate)), seconds))
    return made


def watched(baseline: Tally, rate: float, random: np.random.Generator, seconds: float = SECONDS) -> str | None:
    """The first fault that is found in a new model, if any."""
    watch = Watch(baseline, BANDS)
    while not watch.over:
        watch.fresh.add(Tally(1, BATCH, int(random.binomial(BATCH, rate)), seconds))
        if fault := watch.fault():
            return fault
    return None


@pytest.mark.parametrize("rate", [0.0, 0.0005, 0.003, 0.05])
@pytest.mark.parametrize("records", [500, 5000, 50_000])
def test_a_model_like_the_one_before_is_never_faulted(rate: float, records: int) -> None:
    """Also after a short baseline: 30 draws each, judged after every batch."""
    random = np.random.default_rng(7)
    assert [watched(tally(rate, records, random), rate, random) for _ in range(30)] == [None] * 30


@pytest.mark.parametrize(("old", "new"), [(0.003, 0.1), (0.0, 0.05), (0.05, 1.0), (0.05, 0.0), (0.02, 0.0)])
def test_a_model_far_outside_the_band_is_faulted(old: float, new: float) -> None:
    """Too many alerts, and too few."""
    random = np.random.default_rng(7)
    fault = watched(tally(old, 20_000, random), new, random)
    assert fault is not None
    assert "alerts" in fault


def test_a_slow_model_is_faulted_and_larger_or_smaller_batches_are_not() -> None:
    """Slower a payment and a batch; one of the two alone is another load."""
    random = np.random.default_rng(7)
    baseline = tally(0.003, 20_000, random)
    fault = watched(baseline, 0.003, random, SECONDS * 6)
    assert fault is not None
    assert "us a record" in fault
    larger, smaller = Watch(baseline, BANDS), Watch(baseline, BANDS)
    for _ in range(100):
        larger.fresh.add(Tally(1, BATCH * 20, 6, SECONDS * 10))
    for _ in range(3000):
        smaller.fresh.add(Tally(1, 1, 0, SECONDS / 10))
    assert [larger.fault(), smaller.fault()] == [None, None]


def test_little_traffic_says_nothing() -> None:
    """Of either model."""
    for old, new in (
        (Tally(1, 100, 0, 1.0), Tally(1, 10_000, 10_000, 9.0)),
        (Tally(1, 10_000, 0, 1.0), Tally(1, 9, 9, 9.0)),
    ):
        watch = Watch(old, BANDS)
        watch.fresh.add(new)
        assert watch.fault() is None


def test_the_baseline_is_of_the_last_payments() -> None:
    """Halved beyond its bound, rates kept."""
    made = tally(0.1, 3 * BASELINE_RECORDS_MAX, np.random.default_rng(7))
    assert BASELINE_RECORDS_MAX / 2 <= made.records <= BASELINE_RECORDS_MAX
    assert made.alerts / made.records == pytest.approx(0.1, abs=0.01)
