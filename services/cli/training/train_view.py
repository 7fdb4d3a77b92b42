"""What `assay train` shows: a bar for each stage, how long the run has still to go, and the figures at the end."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from services.cli.output import notes, print_json, results

if TYPE_CHECKING:
    from models.training.progress import Outlook
    from schemas.evaluation import Estimate
    from schemas.manifest import Manifest


LINE_S = 30.0
"""Between two lines where there is no terminal for bars."""

WHOLE = "the whole run"

Report = Callable[[str, int, int], None]


def bars(quiet: bool) -> Progress:
    """Bars on stderr; none where `quiet`. The last column is the most that a stage has still to go: one may end early."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=notes, disable=quiet)


def reporter(shown: Progress) -> Report:
    """Shows each stage as a bar of its own. A stage may end early."""
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, most: int) -> None:
        if stage not in tasks:
            tasks[stage] = shown.add_task(stage, total=most)
        shown.update(tasks[stage], completed=done, total=most)

    return report


@contextmanager
def run_shown(outlook: "Outlook", quiet: bool) -> Iterator[Report]:
    """Bars of the stages and one line for the whole run; without a terminal, a line now and then. Nothing where `quiet`."""
    if quiet:
        yield outlook.report
    elif notes.is_terminal:
        with bars(quiet) as shown:
            yield _with_bars(outlook, shown)
    else:
        yield _with_lines(outlook)
    if not quiet:
        took = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in outlook.took_s.items() if seconds >= 1.0)
        notes.print(f"By stage, some beside each other: {took or 'less than a second each'}.")


def _with_bars(outlook: "Outlook", shown: Progress) -> Report:
    whole, stages = shown.add_task(WHOLE, total=100), reporter(shown)

    def report(stage: str, done: int, most: int) -> None:
        outlook.report(stage, done, most)
        stages(stage, done, most)
        shown.update(whole, completed=int(100 * outlook.share), description=f"{WHOLE}{in_words(outlook.left_s)}")

    return report


def _with_lines(outlook: "Outlook", clock: Callable[[], float] = time.monotonic) -> Report:
    said = clock()

    def report(stage: str, done: int, most: int) -> None:
        nonlocal said
        outlook.report(stage, done, most)
        if clock() - said >= LINE_S:
            said = clock()
            notes.print(f"{stage} {done}/{most}, {outlook.share:.0%} of {WHOLE}{in_words(outlook.left_s)}")

    return report


def in_words(left_s: float | None) -> str:
    """What is left of a run, with a comma before it; nothing where no one can tell."""
    if left_s is None:
        return ""
    return f", about {left_s / 60:.0f} min left" if left_s >= 90 else f", about {left_s:.0f} s left"


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
