"""`assay registry-server`: a real schema registry in the foreground."""

import signal
import time
from typing import Annotated

import typer

from services.cli.output import notes, results

EXAMPLE = "Example: assay registry-server --port 8081"
POLL_INTERVAL_S = 0.5


def registry_server(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes a free one.")] = 8081,
) -> None:
    """Run a real schema registry (Apicurio, with Confluent's API) on this machine, in memory, until Ctrl-C or SIGTERM.

    What it prints is for ASSAY_SCHEMA_REGISTRY_URL. Its schemas end with it.
    """
    from services.broker.registry import EmbeddedRegistry, RegistryServerError

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with EmbeddedRegistry(port, notes) as registry:
            notes.print("The schema registry is ready; Ctrl-C stops it.")
            results.print(registry.url)
            while registry.running:
                time.sleep(POLL_INTERVAL_S)
            raise RegistryServerError("The schema registry ended on its own: start it again.")
    except KeyboardInterrupt:
        notes.print("The schema registry has stopped.")
