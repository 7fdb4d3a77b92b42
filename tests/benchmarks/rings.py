"""How well each kind of fraud is ranked with the features of entities, and without them.

`python -m tests.benchmarks.rings [--json] [--record] [--customers N] [--days N] [--rounds N]`

Payments are simulated with frauds of many cards at once (`assay simulate --rings`), folded once by deploy/features/rings.yaml,
and cut in time as `assay train fraud` does. In each round, a seed of its own, the bundle's classifier is fitted twice: on all
features, and on those that no entity has. Average precision on the test week, of one kind of fraud among what is legitimate.
"""

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from models.features.layout import places
from models.features.spec_file import load_spec
from models.installation import DEPLOY
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.simulation.settings import SimulationSettings
from models.training.data import Cuts, Dataset, Split, split
from models.training.devices import deterministic_torch
from models.training.fit_classifier import WIDE, fit_classifier
from models.training.fraud.history import simulated
from models.training.progress import silent
from models.training.results.tables import SCENARIOS
from tests.benchmarks import command
from tests.benchmarks.record import surroundings

LIBRARIES = ("numpy", "scikit-learn", "torch")
CUTS = Cuts()


def of_columns(data: Dataset, columns: NDArray[np.int64]) -> Dataset:
    """The same payments with some of the features."""
    return replace(data, features=np.ascontiguousarray(data.features[:, columns]))


def ranked(cuts: Split, columns: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Logits of the test cut, by the bundle's classifier fitted on these features."""
    train, validation, test = (of_columns(part, columns) for part in (cuts.train, cuts.validation, cuts.test))
    device = deterministic_torch(seed)
    inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features), ())
    classifier = fit_classifier(inputs, train, validation, WIDE, device, silent)
    with torch.no_grad():
        return np.asarray(classifier(inputs(torch.from_numpy(test.features))).numpy(), np.float32)


def average_precision(test: Dataset, scores: NDArray[np.float32], scenario: int) -> float:
    """Of one kind among all that is legitimate."""
    rows = ~test.is_fraud | (test.scenario == scenario)
    return float(average_precision_score(test.is_fraud[rows], scores[rows]))


def one_round(customers: int, days: int, seed: int) -> dict[int, dict[str, float]]:
    """Frauds and average precision by scenario."""
    spec = load_spec(DEPLOY / "features" / "rings.yaml")
    history = simulated(SimulationSettings(seed, customers, 2 * customers, days=days, rings=True), spec)
    cuts = split(history.data, days, CUTS)
    every = np.arange(len(spec.features))
    found = {"with": ranked(cuts, every, seed), "without": ranked(cuts, np.setdiff1d(every, places(spec)), seed)}
    return {
        scenario: {
            "frauds": int((cuts.test.scenario == scenario).sum()),
            **{way: average_precision(cuts.test, scores, scenario) for way, scores in found.items()},
        }
        for scenario in SCENARIOS
        if (cuts.test.scenario == scenario).any()
    }


def measure(customers: int = 2_000, days: int = 45, rounds: int = 3) -> dict[str, Any]:
    """Seeds 1, 2, ..., one a round."""
    done = [one_round(customers, days, seed) for seed in range(1, rounds + 1)]
    rows = []
    for scenario, words in SCENARIOS.items():
        of_seeds = [found[scenario] for found in done if scenario in found]
        if of_seeds:
            rows.append(
                {
                    "scenario": scenario,
                    "words": words,
                    "frauds": sum(int(one["frauds"]) for one in of_seeds),
                    "ap_with": round(statistics.median(one["with"] for one in of_seeds), 3),
                    "ap_without": round(statistics.median(one["without"] for one in of_seeds), 3),
                    "rounds_with": [round(one["with"], 3) for one in of_seeds],
                    "rounds_without": [round(one["without"], 3) for one in of_seeds],
                }
            )
    return {"customers": customers, "days": days, "rows": rows, **surroundings(LIBRARIES)}


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table(title="Average precision on the test week: median of the seeds (lowest to highest)")
    for column in ("kind of fraud", "frauds", "with entities", "without"):
        table.add_column(column, justify="left" if column == "kind of fraud" else "right")
    for row in result["rows"]:
        cells = [
            f"{row[f'ap_{way}']:.3f} ({min(row[f'rounds_{way}']):.3f} to {max(row[f'rounds_{way}']):.3f})"
            for way in ("with", "without")
        ]
        table.add_row(f"{row['scenario']}: {row['words']}", str(row["frauds"]), *cells)
    Console().print(table)


def good(result: dict[str, Any]) -> bool:
    """Whether entities help where many cards share one, which is scenarios 4 to 6."""
    of_rings = [row for row in result["rows"] if row["scenario"] >= 4]
    return len(of_rings) == 3 and all(row["ap_with"] > row["ap_without"] for row in of_rings)


if __name__ == "__main__":
    command.run("rings", __doc__, measure, show, good, customers=2_000, days=45, rounds=3)
