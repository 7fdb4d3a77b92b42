"""What `assay train` shows: a bar for each stage, and the figures at the end."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.cli.output import notes, print_json, results

if TYPE_CHECKING:
    from schemas.evaluation import Estimate
    from schemas.manifest import Manifest


def bars(quiet: bool) -> Progress:
    """Bars on stderr; none where `quiet`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=notes, disable=quiet)


def reporter(shown: Progress) -> Callable[[str, int, int], None]:
    """Shows each stage as a bar of its own. A stage may end early."""
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, most: int) -> None:
        if stage not in tasks:
            tasks[stage] = shown.add_task(stage, total=most)
        shown.update(tasks[stage], completed=done)

    return report


def figures_table(title: str, what: str, figures: Mapping[str, float]) -> None:
    """Names and numbers."""
    table = Table(title=title)
    table.add_column(what)
    table.add_column("", justify="right")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:.4f}")
    results.print(table)


def show(manifest: "Manifest", out: Path, json: bool) -> None:
    """Every metric, and the models compared; or the manifest as one line of JSON."""
    if json:
        print_json(manifest.model_dump(mode="json"))
        return
    of_gan = {name: value for name, value in manifest.metrics.items() if name.startswith("gan_")}
    tested = {name: value for name, value in manifest.metrics.items() if name not in of_gan}
    figures_table(f"{manifest.name}/{manifest.version} in {out}", "measured on the test cut", tested)
    if of_gan:
        figures_table("The GAN's gate", "synthetic frauds, judged on the validation cut", of_gan)
    if manifest.evaluation is None:
        return
    figures = list(manifest.evaluation.models[0].figures)
    table = Table("", *(name.replace("_", " ") for name in figures), title=manifest.evaluation.intervals)
    for model in manifest.evaluation.models:
        cells = (model.figures[name] for name in figures)
        table.add_row(model.model, *(_cell(estimate) for estimate in cells))
    results.print(table)


def _cell(estimate: "Estimate") -> str:
    interval = "too few" if estimate.too_few else f"{estimate.low:.3f}, {estimate.high:.3f}"
    return f"{estimate.value:.3f} [{interval}]"
