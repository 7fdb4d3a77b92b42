"""`assay verify`: the independent oracle."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import notes, print_json, results
from services.cli.products import Product

if TYPE_CHECKING:
    from services.verification.read import Progress
    from services.verification.verdict import Verdict

EXAMPLE = "Example: assay verify --json; assay verify --product credit"

DAMAGE = {
    "missing": "inputs without score or dead letter",
    "duplicate": "outputs beyond the one that an input is due",
    "out_of_order": "outputs behind a later one of their partition",
    "torn": "outputs or offsets that are not there together",
    "hanging": "partitions with a transaction that never ends",
}


def verify(
    product: Annotated[Product, typer.Option(help="Whose input and outputs.")] = Product.FRAUD,
    group: Annotated[
        str | None, typer.Option(help="The consumer group. Default: ASSAY_GROUP, or ASSAY_CREDIT_GROUP.")
    ] = None,
    from_first_output: Annotated[
        bool, typer.Option(help="Leave out what lies before the first output: for a group that began at latest.")
    ] = False,
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for open transactions.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Read input and outputs back and check that each committed input was answered exactly once.

    May run beside a scorer. Exits with 1 if anything is missing, duplicate, out of order, torn or hanging.
    """
    from services.runtime.settings import CreditSettings, KafkaSettings, RuntimeSettings, TopicSettings, load
    from services.verification.verify import CREDIT, PAYMENTS
    from services.verification.verify import verify as judge

    credit = product is Product.CREDIT
    group = group or (load(CreditSettings).group if credit else load(RuntimeSettings).group)
    with progress_bar(hidden=json) as progress:
        verdict = asyncio.run(
            judge(
                load(KafkaSettings),
                load(TopicSettings),
                group,
                CREDIT if credit else PAYMENTS,
                settle_s_max=settle,
                from_first_output=from_first_output,
                progress=progress,
            )
        )
    if json:
        print_json(verdict.as_dict())
    else:
        show(verdict)
    if not verdict.clean:
        raise typer.Exit(1)


@contextmanager
def progress_bar(hidden: bool) -> "Iterator[Progress]":
    """A bar on stderr that a read can move."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("reading back"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=notes, transient=True, disable=hidden or not notes.is_terminal) as bar:
        task = bar.add_task("read", total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def show(verdict: "Verdict") -> None:
    """The verdict for a person, on stdout."""
    results.print(
        f"{verdict.inputs:,} inputs: {verdict.scores:,} scores, {verdict.dead_letters:,} dead letters, "
        f"{verdict.alerts:,} alerts, {verdict.decisions:,} decisions"
    )
    for count, what in (
        (verdict.lag, "inputs not committed yet"),
        (verdict.unjudged, "inputs left out: retention has deleted their outputs, or they lie before the first one"),
        (verdict.uncounted, "inputs on no scoring metric yet"),
    ):
        if count:
            results.print(f"  {count:,} {what}")
    for name, what in DAMAGE.items():
        if count := getattr(verdict, name):
            results.print(f"  {count:,} {name.replace('_', ' ')}: {what}")
            for position in verdict.examples.get(name, ()):
                results.print(f"    {position}", markup=False)
    results.print(
        "Exactly once: nothing missing, duplicate, out of order, torn or hanging." if verdict.clean else "DAMAGED."
    )
