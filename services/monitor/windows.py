"""Stage 1: partial sums to windows, one a model, and each full window to a report.

A window holds enough payments for its shares to be steady, and enough event time for a day's habits to be in it: five seconds
of a busy stream are all of one hour, which is no drift. The work is per record of sums, about one a second and partition
whatever the traffic.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from schemas import codec
from schemas.metric import ScoringMetric
from schemas.monitor import ChallengerReport, Drift, DriftReport, DriftWindow, ModelReference
from services.monitor.drift import compare, psi

WEEK_MS = 7 * 24 * 3_600_000

Table = MutableMapping[bytes, bytes]


def window_problem(message: Any) -> str | None:
    """Why an entry of `monitor-windows` cannot be used, if so."""
    message.key.decode()
    codec.read(DriftWindow, message.value)
    return None


@dataclass(slots=True)
class Windows:
    """The open window of each model. table: by model; a Faust table, or a dict in tests."""

    table: Table
    records_min: int
    span_ms_min: int = 0
    _open: dict[str, DriftWindow] = field(default_factory=dict)

    def recover(self) -> None:
        """After the table was filled from its topic, or taken away."""
        self._open = {model.decode(): codec.read(DriftWindow, value) for model, value in self.table.items()}

    def add(self, sums: ScoringMetric, offset: int) -> DriftWindow | None:
        """Take in sums once: the model's window, None where they were known."""
        before = self._open.get(sums.model, DriftWindow())
        if offset <= before.offset:
            return None
        try:
            window = _added(before, sums, offset)
        except codec.SchemaError:  # more than its counts can hold, which no reader would take
            window = _added(DriftWindow(), sums, offset)
        self._put(sums.model, window)
        return window

    def full(self, window: DriftWindow) -> bool:
        """Whether it is time to compare."""
        return window.scored >= self.records_min and window.clock_ms - window.from_clock_ms >= self.span_ms_min

    def start_over(self, model: str) -> None:
        """After the window was reported."""
        self._put(model, DriftWindow(offset=self._open[model].offset))

    def _put(self, model: str, window: DriftWindow) -> None:
        self._open[model] = window
        self.table[model.encode()] = codec.write(window)


def report(window: DriftWindow, known: ModelReference, psi_max: float) -> DriftReport:
    """A full window against the reference of the bundle that made it."""
    reference = known.reference
    of_weeks = window.clock_ms - window.from_clock_ms >= WEEK_MS
    of_scores = (
        ("probability", reference.probability_counts, window.probability),
        ("anomaly_percentile", reference.anomaly_percentile_counts, window.anomaly_percentile),
    )
    found = [compare(name, old, new, psi_max) for name, old, new in of_scores if len(old) == len(new)]
    found += [
        compare(feature.name, feature.counts, counts, psi_max)
        for feature, counts in zip(reference.features, window.features, strict=False)
        if len(feature.counts) == len(counts) and (of_weeks or feature.name not in known.weekly)
    ]
    return DriftReport(
        from_ms=window.from_ms,
        until_ms=window.until_ms,
        sums=window.sums,
        scored=window.scored,
        alert_rate=window.alerts / max(1, window.scored),
        dead_letter_rate=window.dead_letters / max(1, window.records),
        distributions=_ranked(found),
        drifted=any(drift.drifted for drift in found),
        challenger=_challenger(window),
    )


def _challenger(window: DriftWindow) -> ChallengerReport | None:
    """How the challenger compares; alerts of either are those of both models less those they share."""
    if window.challenger is None or not window.challenger_scored:
        return None
    either = window.alerts + window.challenger_alerts - window.both_alerts
    return ChallengerReport(
        challenger=window.challenger,
        scored=window.challenger_scored,
        alert_rate=window.challenger_alerts / window.challenger_scored,
        agreement=window.both_alerts / either if either > 0 else None,
        psi=psi(window.probability, window.challenger_probability),
    )


def _ranked(found: Iterable[Drift]) -> tuple[Drift, ...]:
    return tuple(sorted(found, key=lambda drift: (-drift.psi, drift.name)))


def _added(window: DriftWindow, sums: ScoringMetric, offset: int) -> DriftWindow:
    """The window with the sums in it. Sums in other bins (of a used name), or beside another challenger, begin their own."""
    same_bins = _bins(
        window.features, window.probability, window.anomaly_percentile, window.challenger_probability
    ) == _bins(
        sums.feature_histograms,
        sums.probability_histogram,
        sums.anomaly_percentile_histogram,
        sums.challenger_probability_histogram,
    )
    if not (window.sums and same_bins and window.challenger == sums.challenger):
        window = DriftWindow(
            from_ms=sums.until_ms,
            from_clock_ms=sums.clock_ms,
            probability=(0,) * len(sums.probability_histogram),
            anomaly_percentile=(0,) * len(sums.anomaly_percentile_histogram),
            features=tuple((0,) * len(counts) for counts in sums.feature_histograms),
            challenger=sums.challenger,
            challenger_probability=(0,) * len(sums.challenger_probability_histogram),
        )
    features = zip(window.features, sums.feature_histograms, strict=True)
    fields = {
        "offset": offset,
        "from_ms": min(window.from_ms, sums.until_ms),
        "until_ms": max(window.until_ms, sums.until_ms),
        "from_clock_ms": min(
            window.from_clock_ms or sums.clock_ms, sums.clock_ms or window.from_clock_ms
        ),  # 0: unknown yet
        "clock_ms": max(window.clock_ms, sums.clock_ms),
        "sums": window.sums + 1,
        "records": window.records + sums.records,
        "scored": window.scored + sums.scored,
        "alerts": window.alerts + sums.alerts,
        "dead_letters": window.dead_letters + sums.dead_letters,
        "probability": _plus(window.probability, sums.probability_histogram),
        "anomaly_percentile": _plus(window.anomaly_percentile, sums.anomaly_percentile_histogram),
        "features": tuple(_plus(one, other) for one, other in features),
        "challenger": window.challenger,
        "challenger_scored": window.challenger_scored + sums.challenger_scored,
        "challenger_alerts": window.challenger_alerts + sums.challenger_alerts,
        "both_alerts": window.both_alerts + sums.both_alerts,
        "challenger_probability": _plus(window.challenger_probability, sums.challenger_probability_histogram),
    }
    return codec.checked(DriftWindow, fields)


def _bins(features: tuple[tuple[int, ...], ...], *scores: tuple[int, ...]) -> list[int]:
    return [*map(len, features), *map(len, scores)]


def _plus(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))
