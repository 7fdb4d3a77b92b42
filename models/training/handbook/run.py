"""Measures everything of this package and writes docs/handbook.json: `python -m models.training.handbook.run --data DIR`."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import polars as pl
from rich.console import Console

from models.features.spec_file import load_spec
from models.files.options import ReadOptions
from models.files.payments import mapping, read
from models.installation import DEPLOY
from models.training.bootstrap import bootstrap, estimates
from models.training.fraud.file_history import fold_payments, usable
from models.training.fraud.history import History
from models.training.handbook.contest import contestants
from models.training.handbook.features import book_features
from models.training.handbook.figures import FIGURES, HandbookFigures, Row, read_figures, write_figures
from models.training.handbook.windows import FOLDS, SINGLE, window

COLUMNS = {
    "transaction_id": "TRANSACTION_ID",
    "event_time_ms": "TX_DATETIME",
    "card_id": "CUSTOMER_ID",
    "terminal_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
}
BOOK = "the book's fifteen, exact"
ENGINE = "the same fifteen, our engine"
FRAUD = "our engine, fraud.yaml"
SPECS = {ENGINE: "handbook", FRAUD: "fraud"}

console = Console(soft_wrap=True, highlight=False)


def payments(directory: Path) -> pl.DataFrame:
    """The handbook's payments in order of time. Raises TableError, or FileNotFoundError with the sentence."""
    files = sorted(directory.glob("transactions_*.parquet"))
    if not files:
        raise FileNotFoundError(f"{directory} holds no transactions_*.parquet: give the handbook's directory.")
    names = mapping([f"{field}={column}" for field, column in COLUMNS.items()])
    return usable(read(files[0], names, "TX_FRAUD", "TX_FRAUD_SCENARIO", ReadOptions(time_zone="UTC")))


def histories(frame: pl.DataFrame, wanted: list[str]) -> Iterator[tuple[str, History]]:
    """The payments with each set of features; the history before a window is folded too."""
    ours = fold_payments(frame, load_spec(DEPLOY / "features" / "handbook.yaml"), "The handbook's payments.")
    for name in wanted:
        if name == BOOK:
            yield name, replace(ours, data=replace(ours.data, features=book_features(frame)))
        elif name == ENGINE:
            yield name, ours
        else:
            spec = load_spec(DEPLOY / "features" / f"{SPECS[name]}.yaml")
            yield name, fold_payments(frame, spec, ours.source)


def measure(
    history: History, features: str, start: str, models: list[str], done: set[tuple[str, str, str]]
) -> Iterator[Row]:
    """A row for each of `models` (all where there are none) on one window that is not done."""
    part = window(history.data, history.first_day, start)
    for name, score in contestants(part):
        if (start, features, name) not in done and (not models or name in models):
            figures = estimates(bootstrap(part.test, {name: score()}, seed=1)[name])
            yield Row(window=start, features=features, model=name, figures=figures)


def main(arguments: list[str] | None = None) -> int:
    """Run, show each row as it comes, and write them all. What the file already holds is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="Example: make handbook DATA=/data/handbook")
    parser.add_argument("--data", type=Path, required=True, help="directory with transactions_*.parquet")
    parser.add_argument("--out", type=Path, default=Path("docs/handbook.json"), help="figures (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="measure again what the file already holds")
    parser.add_argument("--windows", nargs="*", default=[SINGLE, *FOLDS], help="first days of training weeks")
    parser.add_argument("--features", nargs="*", default=[BOOK, FRAUD, ENGINE], help="sets of features")
    parser.add_argument("--models", nargs="*", default=[], help="models (default: all)")
    given = parser.parse_args(arguments)
    try:
        frame = payments(given.data)
    except (FileNotFoundError, ValueError) as error:
        print(f"handbook: {error}", file=sys.stderr)
        return 2
    rows = list(read_figures(given.out).rows) if given.out.exists() and not given.fresh else []
    libraries = {name: version(name) for name in ("numpy", "polars", "scikit-learn", "torch", "xgboost")}
    for features, history in histories(frame, given.features):
        for start in given.windows:
            for row in measure(history, features, start, given.models, {row.key for row in rows}):
                rows.append(row)
                write_figures(given.out, HandbookFigures(libraries=libraries, rows=tuple(rows)))
                values = (row.figures[name] for name in FIGURES)
                shown = "  ".join(f"{v.value:.3f} [{v.low:.3f}, {v.high:.3f}]" for v in values)
                console.print(f"{start}  {features:32}  {row.model:34}  {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
