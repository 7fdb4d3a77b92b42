"""A card's payments as a small chart: both scores over time, and the amounts of those that are alerts. Coordinates only."""

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_MAX = 60
WIDTH, LEFT = 640, 8
SCORES_TOP, SCORES_BOTTOM = 10, 70
BARS_TOP, BARS_BOTTOM = 82, 140
LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment. Of one that is no alert, scores and time alone are known. case_id: of the case that it is an alert of."""

    event_time_ms: int
    probability: float
    anomaly_percentile: float
    amount: float | None = None
    currency: str | None = None
    terminal_id: str | None = None
    case_id: str | None = None
    is_alert: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A payment's place in the chart."""

    payment: Payment
    x: float
    bar_y: float
    bar_height: float
    probability_y: float
    anomaly_y: float
    likely: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The chart. left_out: older payments that it has no room for. lines: both scores over time, as points of a path."""

    marks: list[Mark]
    probability_line: str
    anomaly_line: str
    begin_ms: int
    end_ms: int
    amount_max: float
    left_out: int

    @property
    def alerts(self) -> int:
        """How many of them are alerts."""
        return sum(mark.payment.is_alert for mark in self.marks)


def timeline(payments: Sequence[Payment]) -> Timeline | None:
    """The newest payments, evenly timed; None where there are none."""
    shown = payments[-SHOWN_MAX:]
    if not shown:
        return None
    begin_ms, end_ms = shown[0].event_time_ms, shown[-1].event_time_ms
    length_ms = max(1, end_ms - begin_ms)
    amount_max = max(max(one.amount or 0.0 for one in shown), 0.01)
    room = WIDTH - 2 * LEFT
    marks = []
    for one in shown:
        share = (one.event_time_ms - begin_ms) / length_ms if end_ms > begin_ms else 0.5
        height = max(1.5, max(one.amount or 0.0, 0.0) / amount_max * (BARS_BOTTOM - BARS_TOP))
        marks.append(
            Mark(
                one,
                round(LEFT + share * room, 1),
                round(BARS_BOTTOM - height, 1),
                round(height, 1),
                _score_y(one.probability),
                _score_y(one.anomaly_percentile / 100),
                one.probability >= LIKELY,
            )
        )
    likely = " ".join(f"{mark.x},{mark.probability_y}" for mark in marks)
    odd = " ".join(f"{mark.x},{mark.anomaly_y}" for mark in marks)
    return Timeline(marks, likely, odd, begin_ms, end_ms, amount_max, len(payments) - len(shown))


def _score_y(share: float) -> float:
    return round(SCORES_BOTTOM - share * (SCORES_BOTTOM - SCORES_TOP), 1)
