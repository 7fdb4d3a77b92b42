"""`assay train`: train a bundle. The only command that needs PyTorch."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.runtime.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.manifest import Manifest


class TrainError(AssayError):
    """Training is not possible as asked."""


class Product(StrEnum):
    """What can be trained."""

    FRAUD = "fraud"


def train(
    product: Annotated[Product, typer.Argument(help="What to train.")],
    out: Annotated[Path | None, typer.Option(help="Bundle directory. Default: deploy/bundles/<product>.")] = None,
    features: Annotated[
        Path | None, typer.Option(help="Feature spec. Default: deploy/features/<product>.yaml.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Also write the table of results to this Markdown file.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of every random draw. Default: 1.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Simulated days. Default: 60.")] = None,
    customers: Annotated[int | None, typer.Option(min=3, help="Simulated customers. Default: 5000.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data, at most, for each network.")] = None,
    version: Annotated[int, typer.Option(min=1, help="Version of the bundle; grows with each release.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as one line of JSON, nothing else.")] = False,
) -> None:
    """Train a bundle on simulated payments: classifier, autoencoder, thresholds, one ONNX graph."""
    try:
        from models.training.fraud import FraudSettings, train_fraud, with_epochs
    except ModuleNotFoundError as error:
        raise TrainError(
            f"Training needs {error.name}, which is not installed: pip install 'assay-scoring[train]'."
        ) from None
    from models.features.spec_file import load_spec

    out = out or Path("deploy/bundles") / product
    try:
        spec = load_spec(features or Path("deploy/features") / f"{product}.yaml")
        given: dict[str, Any] = {"seed": seed, "days": days, "customers": customers}
        given = {name: number for name, number in given.items() if number is not None}
        settings = FraudSettings(spec=spec, version=version, **given)
        if epochs is not None:
            settings = with_epochs(settings, epochs)
        with _bars(quiet=json) as bars:
            manifest = train_fraud(settings, out, _reporter(bars), results)
    except ValueError as error:
        raise TrainError(str(error)) from None
    if json:
        typer.echo(manifest.model_dump_json())
    else:
        _summary(manifest, out)


def _bars(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=quiet)


def _reporter(bars: Progress) -> "Callable[[str, int, int], None]":
    """Shows each stage as a bar of its own."""
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, most: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=most)
        bars.update(tasks[stage], completed=done)

    return report


def _summary(manifest: "Manifest", out: Path) -> None:
    table = Table(title=f"{manifest.name}/{manifest.version} in {out}")
    table.add_column("measured on the test cut")
    table.add_column("", justify="right")
    for name, value in manifest.metrics.items():
        table.add_row(name.replace("_", " "), f"{value:.4f}")
    Console().print(table)
