"""`assay broker start`: the embedded Apache Kafka in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The embedded Apache Kafka.", no_args_is_help=True)


@app.command(epilog="Example: assay broker start --data-dir .assay/kafka")
def start(
    data_dir: Annotated[Path | None, typer.Option(help="Keep the data here. Default: gone when Kafka stops.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="First node's port on loopback; 0 takes free ones.")
    ] = 9092,
    nodes: Annotated[int, typer.Option(help="1, or 3 with replication.")] = 1,
) -> None:
    """Run a real Apache Kafka on this machine until Ctrl-C or SIGTERM."""
    from services.broker.foreground import run_foreground

    run_foreground(data_dir=data_dir, port=port, nodes=nodes)
