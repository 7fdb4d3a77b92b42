"""`assay registry-server`: a real schema registry in the foreground."""

import signal
import time
from typing import Annotated

import typer

EXAMPLE = "Example: assay registry-server --port 8081"
POLL_INTERVAL_S = 0.5


def registry_server(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes a free one.")] = 8081,
) -> None:
    """Run a real schema registry (Apicurio, with Confluent's API) on this machine, in memory, until Ctrl-C or SIGTERM.

    What it prints is for ASSAY_SCHEMA_REGISTRY_URL. Its schemas end with it.
    """
    from rich.console import Console

    from services.broker.registry import EmbeddedRegistry, RegistryServerError

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=True)
    try:
        with EmbeddedRegistry(port, console) as registry:
            console.print("The schema registry is ready; Ctrl-C stops it.")
            print(registry.url, flush=True)
            while registry.running:
                time.sleep(POLL_INTERVAL_S)
            raise RegistryServerError("The schema registry ended on its own: start it again.")
    except KeyboardInterrupt:
        console.print("The schema registry has stopped.")
