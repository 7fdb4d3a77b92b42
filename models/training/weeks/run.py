"""Measures the weeks and writes docs/weeks.json: `python -m models.training.weeks.run`.

Scores are kept in a directory while it runs, so that a run that was stopped goes on where it was.
"""

import argparse
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console

from models.features.spec_file import load_spec
from models.installation import DEPLOY
from models.simulation.settings import SimulationSettings
from models.training.baselines import BOOK_XGBOOST
from models.training.bootstrap import Draws, bootstrap
from models.training.data import Dataset
from models.training.fraud.history import simulated
from models.training.handbook.windows import WEEK_DAYS, Window, window_from
from models.training.weeks.contest import AUTOENCODER, CONTESTANTS, NETWORK, REFERENCE, Week
from models.training.weeks.figures import WeekFigures, WeekRow, means
from schemas.evaluation import UNSUPERVISED

CUSTOMERS = 5000
SEEDS, FIRST_DAYS = (41, 42, 43), (56, 63)
"""Later weeks of seeds that no setting was chosen on."""

OF_MANY_FITS = (REFERENCE, NETWORK)
"""Fitted from several seeds on each week, to show the worst of them."""

console = Console(soft_wrap=True, highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Score every week with every model, show each as it comes, and write all figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: python -m models.training.weeks.run --fits 4"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=SEEDS, help="of simulated payments (default: %(default)s)"
    )
    parser.add_argument(
        "--first-days", type=int, nargs="+", default=FIRST_DAYS, help="of training weeks, from 0 (default: %(default)s)"
    )
    parser.add_argument("--fits", type=int, default=1, help="of those that are fitted from several seeds (default: 1)")
    parser.add_argument("--models", nargs="*", default=list(CONTESTANTS), help="models (default: all)")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="simulated (default: %(default)s)")
    parser.add_argument(
        "--keep", type=Path, default=Path(".assay/weeks"), help="scores of each fit (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="where to write the figures (default: nowhere)")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.models) - set(CONTESTANTS)):
        print(f"weeks: no model is called {', '.join(unknown)}: {', '.join(CONTESTANTS)}.", file=sys.stderr)
        return 2
    if min(given.first_days) < WEEK_DAYS:
        print(
            f"weeks: before the training week there is a labelled one: begin on day {WEEK_DAYS} or later.",
            file=sys.stderr,
        )
        return 2
    given.keep.mkdir(parents=True, exist_ok=True)
    rows: list[WeekRow] = []
    drawn: list[dict[str, Draws]] = []
    for seed, first_day, fits in _scored(given):
        found = _figures(given, seed, first_day, fits, rows)
        drawn.append(found)
    rivals = {name: _rival(name, given.models) for name in given.models}
    figures = WeekFigures(
        libraries={name: version(name) for name in ("numpy", "scikit-learn", "torch", "xgboost")},
        customers=given.customers,
        rival=_rival("", given.models),
        unsupervised_rival=_rival(UNSUPERVISED, given.models),
        means=means(drawn, rivals),
        rows=tuple(rows),
    )
    for mean in figures.means:
        less = mean.less_rival.get("average_precision")
        words = "" if less is None else f"  less the rival {less.value:+.4f} [{less.low:+.4f}, {less.high:+.4f}]"
        console.print(f"{mean.model:34} " + "  ".join(f"{v.value:.4f}" for v in mean.figures.values()) + words)
    if given.out:
        given.out.write_text(figures.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return 0


def _rival(name: str, models: list[str]) -> str:
    wanted = AUTOENCODER if name.endswith(UNSUPERVISED) else BOOK_XGBOOST
    return wanted if wanted in models else models[0]


def _scored(given: argparse.Namespace) -> Iterator[tuple[int, int, list[tuple[str, int]]]]:
    """Seed, first day and the fits of each week, once all their scores are kept."""
    for seed in given.seeds:
        history: Dataset | None = None
        for first_day in given.first_days:
            wanted = [(m, fit) for m in given.models for fit in range(given.fits if m in OF_MANY_FITS else 1)]
            missing = [one for one in wanted if not _kept(given, seed, first_day, *one).exists()]
            if missing:
                history = history or _history(given, seed)
                _score(given, seed, first_day, missing, window_from(history, first_day))
            yield seed, first_day, wanted


def _history(given: argparse.Namespace, seed: int) -> Dataset:
    days = max(given.first_days) + 3 * WEEK_DAYS
    settings = SimulationSettings(seed=seed, customers=given.customers, terminals=2 * given.customers, days=days)
    return simulated(settings, load_spec(DEPLOY / "features" / "fraud.yaml")).data


def _score(given: argparse.Namespace, seed: int, first_day: int, missing: list[tuple[str, int]], part: Window) -> None:
    test, weeks = part.test, dict[int, Week]()
    np.savez(_kept(given, seed, first_day), card=test.card, day=test.day, is_fraud=test.is_fraud)
    for model, fit in missing:
        week = weeks.setdefault(fit, Week(part, fit))
        score = CONTESTANTS[model](week)
        console.print(f"seed {seed}, week from day {first_day}, fit {fit}: {model}")
        np.save(_kept(given, seed, first_day, model, fit), score)


def _kept(given: argparse.Namespace, seed: int, first_day: int, model: str = "", fit: int = 0) -> Path:
    name = f"{model} {fit}.npy" if model else "labels.npz"
    path: Path = given.keep / f"{given.customers} {seed} {first_day} {name}"
    return path


def _figures(
    given: argparse.Namespace, seed: int, first_day: int, fits: list[tuple[str, int]], rows: list[WeekRow]
) -> dict[str, Draws]:
    """Draws of the first fits, on the same cards; every fit's figures are added to `rows`."""
    labels = np.load(_kept(given, seed, first_day))
    card, day, is_fraud = (labels[name] for name in ("card", "day", "is_fraud"))
    test = Dataset(np.zeros((len(card), 0), np.float32), card, day, is_fraud, is_fraud.astype(np.int8))
    scores = {one: np.load(_kept(given, seed, first_day, *one)) for one in fits}
    drawn = bootstrap(test, {model: score for (model, fit), score in scores.items() if fit == 0}, seed=1)
    for (model, fit), score in scores.items():
        found = drawn[model] if fit == 0 else bootstrap(test, {model: score}, seed=1, draws=0)[model]
        figures = {name: float(values[0]) for name, values in found.items()}
        rows.append(WeekRow(seed=seed, first_day=first_day, fit=fit, model=model, figures=figures))
    return drawn


if __name__ == "__main__":
    sys.exit(main())
