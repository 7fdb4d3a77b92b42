"""What the reasons of an alert cost, and how often a bounded number of coalitions names the same ones as 16,384 do.

`python -m tests.benchmarks.reasons [--json] [--record] [--records N] [--rounds N]`

Alerts of the committed fraud bundle on simulated payments, the newest ones, once the histories are warm.
"""

import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.bundle.load import load_bundle
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from models.scoring.shapley import REASONS_MAX, UNIT, contributions, explain, ranked
from models.simulation.settings import SimulationSettings
from models.training.fraud.history import simulated
from schemas.alert import Trigger
from tests.benchmarks import command
from tests.benchmarks.record import surroundings

BUNDLE = load_bundle(Path(__file__).parents[2] / "deploy" / "bundles" / "fraud")
DAYS = 40
PAYMENTS_PER_CUSTOMER_DAY = 1.93
ALERTS_MAX = 100
COALITIONS = (64, 128, 256, 512)
REFERENCE_COALITIONS = 16_384
MS = 1e3
LIBRARIES = ("numpy", "onnxruntime")

Triggers = list[tuple[Trigger, ...]]


class Counting:
    """A session that counts the rows it scores."""

    def __init__(self) -> None:
        self.bundle, self.rows, self._session = BUNDLE, 0, ModelSession(BUNDLE, "cpu")
        self.trees = self._session.trees

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score and count."""
        self.rows += len(matrix)
        return self._session.run(matrix)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same."""
        self.rows += len(matrix)
        return self._session.probability(matrix)


def alerts(session: Counting, records: int) -> tuple[NDArray[np.float32], Triggers]:
    """Features of the newest alerts of a simulation of about `records` payments, and what each crossed."""
    customers = max(100, round(records / DAYS / PAYMENTS_PER_CUSTOMER_DAY))
    settings = SimulationSettings(seed=7, customers=customers, terminals=2 * customers, days=DAYS)
    features = simulated(settings, BUNDLE.manifest.feature_spec).data.features
    scores, thresholds = session.run(features), BUNDLE.manifest.thresholds
    crossed = {t: getattr(scores, t) >= getattr(thresholds, t) for t in UNIT}
    newest = np.flatnonzero(np.any(list(crossed.values()), axis=0))[-ALERTS_MAX:]
    return features[newest], [tuple(t for t in UNIT if crossed[t][row]) for row in newest]


def measure(records: int, rounds: int) -> dict[str, Any]:
    """Rows and milliseconds of a core an alert, and the agreement by number of coalitions."""
    session = Counting()
    rows, triggers = alerts(session, records)
    per_alert = []
    for row, trigger in zip(rows, triggers, strict=True):
        session.rows = 0
        explain(session, row[None], [trigger])
        per_alert.append(session.rows)
    together: list[float] = []
    alone: list[float] = []
    score: list[float] = []
    for _ in range(rounds):
        together.append(_ms(lambda: explain(session, rows, triggers)) / len(rows))
        singly = [
            _ms(lambda at=at: explain(session, rows[at : at + 1], triggers[at : at + 1])) for at in range(len(rows))
        ]
        alone.append(statistics.median(singly))
        score.append(_ms(lambda: session.run(np.repeat(rows, 20, axis=0))) / len(rows) / 20)
    return {
        "python": platform.python_version(),
        "alerts": len(rows),
        "rows_per_alert_mean": statistics.mean(per_alert),
        "rows_per_alert_max": max(per_alert),
        "ms_per_alert": statistics.median(together),
        "ms_per_alert_alone": statistics.median(alone),
        "ms_per_payment_scored": statistics.median(score),
        "rounds": {"together": together, "alone": alone, "score": score},
        "agreement": _agreement(session, rows),
        **surroundings(LIBRARIES),
    }


def _agreement(session: Counting, rows: NDArray[np.float32]) -> dict[str, dict[str, dict[str, float]]]:
    """By score and coalitions: how often the first reason is the same, the share of the four, and the mean error."""
    background = np.array(BUNDLE.reference.background, np.float32)
    exact = contributions(session.run, rows, background, REFERENCE_COALITIONS)
    found: dict[str, dict[str, dict[str, float]]] = {trigger: {} for trigger in UNIT}
    for coalitions in COALITIONS:
        values = contributions(session.run, rows, background, coalitions)
        for trigger in UNIT:
            first, shared, error = [], [], []
            for estimate, truth in zip(values[trigger], exact[trigger], strict=True):
                named, right = (_named(trigger, column) for column in (estimate, truth))
                first.append(named[:1] == right[:1])
                shared.append(len(set(named) & set(right)) / max(1, len(right)))
                error.append(np.abs(estimate - truth).sum() / max(1e-12, np.abs(truth).sum()))
            found[trigger][str(coalitions)] = {
                "first": float(np.mean(first)),
                f"of_{REASONS_MAX}": float(np.mean(shared)),
                "error": float(np.mean(error)),
            }
    return found


def _named(trigger: Trigger, values: NDArray[np.float64]) -> list[int]:
    return [feature for feature, _, _ in ranked({trigger: values})]


def _ms(work: Any) -> float:
    """Of one core: the session has one thread, and a busy machine does not count."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * MS


def show(result: dict[str, Any]) -> None:
    """For people."""
    console = Console()
    console.print(
        f"{result['alerts']} alerts: {result['rows_per_alert_mean']:.0f} rows of the model each, at most "
        f"{result['rows_per_alert_max']}; {result['ms_per_alert']:.2f} ms each together, "
        f"{result['ms_per_alert_alone']:.2f} ms alone (a payment's own scores: {result['ms_per_payment_scored']:.4f} ms)."
    )
    table = Table(
        "score", "coalitions", "same first reason", f"shared of the {REASONS_MAX}", "error, share of the total"
    )
    for trigger, rows in result["agreement"].items():
        for coalitions, row in rows.items():
            table.add_row(trigger, coalitions, *(f"{value:.3f}" for value in row.values()))
    console.print(table)


if __name__ == "__main__":
    command.run("reasons", __doc__, measure, show, records=200_000, rounds=3)
