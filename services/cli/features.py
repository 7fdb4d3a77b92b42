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
    """Show each feature of SPEC: what it is, over which window, how exact, and the memory per card."""
    from rich.table import Table

    from models.features.explain import card_bytes, table
    from models.features.spec_file import load_spec

    loaded = load_spec(spec)
    rows = table(loaded)
    if json:
        print_json({"features": [asdict(row) for row in rows], "bytes_per_card": card_bytes(loaded)})
        return
    shown = Table("feature", "what it is", "window", "resolution", "bytes per card")
    for row in rows:
        shown.add_row(row.name, row.what, row.window, row.resolution, str(row.bytes_per_card))
    results.print(shown)
    results.print(f"A card's history takes {card_bytes(loaded)} bytes; features that read the same buckets share them.")
