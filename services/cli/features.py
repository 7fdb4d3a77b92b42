"""`assay features`: what a feature spec asks for, and what it costs."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import print_json, results

app = typer.Typer(
    help="Feature specs.", no_args_is_help=True, epilog="Example: assay features explain deploy/features/fraud.yaml"
)


@app.command(epilog="Example: assay features explain deploy/features/fraud.yaml")
def explain(
    spec: Annotated[Path, typer.Argument(help="A feature spec in YAML.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show each feature of SPEC: what it is, whose, over which window, how exact; and what it costs in memory and time."""
    from rich.table import Table

    from models.features.explain import key_bytes, ns_per_event, table
    from models.features.spec_file import load_spec

    loaded = load_spec(spec)
    rows, sizes, cost_ns = table(loaded), key_bytes(loaded), round(ns_per_event(loaded))
    if json:
        print_json({"features": [asdict(row) for row in rows], "bytes_per_id": sizes, "ns_per_event": cost_ns})
        return
    shown = Table("feature", "what it is", "history of", "window", "resolution", "bytes")
    for row in rows:
        shown.add_row(row.name, row.what, row.key, row.window, row.resolution, str(row.bytes_per_id))
    results.print(shown)
    for key, size in sizes.items():
        results.print(f"Each {key} takes {size} bytes; features that read the same buckets share them.")
    results.print(f"A payment takes about {cost_ns} ns of one core of this machine.")
