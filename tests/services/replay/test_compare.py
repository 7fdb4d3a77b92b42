"""What a replay notices."""

import numpy as np
import pytest

from models.scoring.scores import Scores
from schemas.score import Score
from services.replay.compare import Comparison, Emitted

OFFSETS = np.arange(10, 14)
VALUES = np.array([0.1, 0.2, 0.3, 0.4], np.float32)


def score(value: float, *, alert: bool = False, model: str = "fraud/1@cpu") -> Score:
    return Score(
        transaction_id="t",
        event_time_ms=1,
        card_id="c",
        probability=value,
        reconstruction_error=value,
        anomaly_percentile=value,
        alert=alert,
        model=model,
    )


def emitted() -> Emitted:
    ledger = Emitted("in-0", 10, 14, "fraud/1@cpu")
    for offset, value in zip(OFFSETS, VALUES, strict=True):
        ledger.add(int(offset), score(float(value)), 0)
    return ledger


def compared(ledger: Emitted, values: np.ndarray, offsets: np.ndarray = OFFSETS) -> Comparison:
    result = Comparison()
    ledger.compare(offsets, Scores(values, values.copy(), values.copy()), np.zeros(len(values), np.bool_), result)
    ledger.finish(result)
    return result


def test_equal_bits_are_equal() -> None:
    """The plain case."""
    assert compared(emitted(), VALUES).as_dict() | {"examples": []} == Comparison(compared=4).as_dict()


def test_one_bit_is_a_difference() -> None:
    """The next float32."""
    other = VALUES.copy()
    other[2] = np.nextafter(other[2], np.float32(1))
    result = compared(emitted(), other)
    assert (result.compared, result.differing, result.equal) == (4, 1, False)
    assert result.examples == ["in-0@12 differs"]


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        (score(0.2, alert=True), (4, 1, 0)),
        (score(0.2, model="fraud/2@cpu"), (3, 0, 1)),
    ],
)
def test_an_alert_counts_and_another_model_does_not(changed: Score, counts: tuple[int, int, int]) -> None:
    """Outcomes are compared too; foreign scores are left out."""
    ledger = emitted()
    ledger.add(11, changed, 0)
    result = compared(ledger, VALUES)
    assert (result.compared, result.differing, result.other_model) == counts


def test_what_one_side_lacks_is_a_difference() -> None:
    """On either side; and nothing at all is not equal."""
    fewer = compared(emitted(), VALUES[:3], OFFSETS[:3])
    assert (fewer.compared, fewer.not_replayed, fewer.equal) == (3, 1, False)
    nothing = compared(Emitted("in-0", 10, 14, "fraud/1@cpu"), VALUES)
    assert (nothing.compared, nothing.not_emitted, nothing.equal) == (0, 4, False)
    assert not Comparison().equal
