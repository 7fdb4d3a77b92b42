"""`assay score`: runs scorer processes until asked to stop."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.running.children import Child, run_until_asked


class Profile(StrEnum):
    """What the scorer is set for."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"


EXAMPLE = "Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 assay score --processes 4"
COMMAND = (sys.executable, "-m", "services.scorer")
MARGIN_S = 5.0
"""How much longer than its own drain a scorer may take to end."""


def score(
    processes: Annotated[
        int, typer.Option(min=1, max=256, help="Scorers on this machine; they share the partitions.")
    ] = 1,
    profile: Annotated[
        Profile | None, typer.Option(help="latency: more, smaller micro-batches. Default: ASSAY_PROFILE.")
    ] = None,
) -> None:
    """Score what arrives on `transactions` until Ctrl-C or SIGTERM, then drain. Settings come from the environment.

    With several processes the health ports are ASSAY_HTTP_PORT, +1, +2 ... Ends with the first that fails.
    """
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings

    if profile is not None:
        os.environ["ASSAY_PROFILE"] = profile.value
    runtime = load(RuntimeSettings)
    failed, statuses = run_until_asked(
        (
            Child.start(
                f"scorer {index}",
                COMMAND,
                _environment(index, processes, runtime.http_port, runtime.group_instance_id),
            )
            for index in range(processes)
        ),
        runtime.drain_timeout_s + MARGIN_S,
    )
    if failed is not None:
        raise typer.Exit(failed.status or 1)
    raise typer.Exit(max(statuses, default=0))


def _environment(index: int, processes: int, http_port: int, instance_id: str | None) -> dict[str, str]:
    """What differs between several processes on one machine."""
    environment = dict(os.environ)
    if processes > 1:
        environment["ASSAY_HTTP_PORT"] = str(http_port + index if http_port else 0)
        if instance_id is not None:
            environment["ASSAY_GROUP_INSTANCE_ID"] = f"{instance_id}-{index}"
    return environment
