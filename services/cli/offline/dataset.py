"""`assay dataset`: what to train the next model on."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.files import needing_files
from services.cli.offline.read_back import progress_bar
from services.cli.output import print_json, results
from services.cli.people.label import moment_ms

if TYPE_CHECKING:
    from services.replay.dataset import Cut, DataSet
    from services.verification.read import Progress

app = typer.Typer(
    help="Training sets from the topics.",
    no_args_is_help=True,
    epilog="Example: assay dataset build payments.parquet --as-of 2026-11-01",
)


@app.command(epilog="Example: assay dataset build payments.parquet --as-of 2026-11-01 --maturity-days 60")
def build(
    out: Annotated[Path, typer.Argument(help="Where to: .parquet; written over.")],
    as_of: Annotated[datetime | None, typer.Option(help="Labels said by then count, UTC. Default: now.")] = None,
    maturity_days: Annotated[
        float | None,
        typer.Option(min=0, help="Payments younger than this at --as-of are left out. Default: the label delay."),
    ] = None,
    since: Annotated[datetime | None, typer.Option("--from", help="Payments from this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Payments before this time, UTC.")] = None,
    group: Annotated[str | None, typer.Option(help="The scorer's consumer group. Default: ASSAY_GROUP.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Whose features. Default: the bundle that scores.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Join payments, their features as scored and their labels from the topics into one Parquet file, in order of time.

    A payment is in it once its label had its time: without one it is legitimate. `assay train fraud --data` takes the file.
    Set ASSAY_* as the scorer has them. All rows are held in memory, about 500 bytes each.
    """
    from services.clock import wall_ms
    from services.errors import AssayError
    from services.replay.dataset import Cut
    from services.scorer.processor import Limits
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.settings.scorer import ScorerSettings
    from services.swapping.loader import load_session

    if out.suffix != ".parquet":
        raise AssayError(f"{out} does not end in .parquet: name it so.")
    if not out.parent.is_dir():
        raise AssayError(f"{out} cannot be written, since {out.parent} is no directory: make it first.")
    with needing_files():
        import polars as pl

        from services.cli.frames import write_whole
    runtime, scorer = load(RuntimeSettings), load(ScorerSettings)
    session, found = load_session(scorer, bundle)
    days = session.bundle.manifest.feature_spec.label_delay_days if maturity_days is None else maturity_days
    cut = Cut(wall_ms() if as_of is None else moment_ms(as_of), int(days * 86_400_000))
    if since is not None or until is not None:
        edges = (0 if since is None else moment_ms(since), 1 << 62 if until is None else moment_ms(until))
        cut = Cut(cut.as_of_ms, cut.maturity_ms, *edges)
    with progress_bar(hidden=json) as progress:
        limits = Limits.of(runtime, scorer)
        data = asyncio.run(_build(group or runtime.group, session, limits, cut, progress))
    write_whole(out, pl.DataFrame(dict(data.columns), strict=False))
    counts = {"payments": len(data), "frauds": sum(data.columns["is_fraud"]), "labelled": _labelled(data)}
    if json:
        print_json({**counts, "as_of_ms": cut.as_of_ms, "path": str(out), "bundle": str(found.ref), "why": found.why})
    else:
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        results.print(f"{told}, as known at {datetime.fromtimestamp(cut.as_of_ms / 1000)}: {out}")
        results.print(f"Features of {found}", markup=False)


async def _build(group: str, session: Any, limits: Any, cut: "Cut", progress: "Progress") -> "DataSet":
    from models.sources.spec_file import scorer_input
    from schemas.topics import LABELS
    from services.cli.offline.replay import topics_log
    from services.cli.sending import records
    from services.replay.dataset import build as run
    from services.replay.dataset import known_labels

    labels = known_labels([record async for record in records(LABELS)], cut.as_of_ms)
    manifest = session.bundle.manifest
    async with topics_log(group, scorer_input(manifest.source, manifest.feature_spec)) as log:
        return await run(log, session, limits, labels, cut, progress)


def _labelled(data: "DataSet") -> int:
    return sum(at is not None for at in data.columns["labelled_at_ms"])
