"""Runs the embedded Kafka in the foreground, until Ctrl-C or SIGTERM."""

import signal
import time
from pathlib import Path
from typing import Annotated

from rich.console import Console
from typer import Option

from services.broker.server import BrokerError, EmbeddedKafka

POLL_INTERVAL_S = 0.5


def run_foreground(
    data_dir: Annotated[Path | None, Option(help="Keep the data here. Without it they go when Kafka stops.")] = None,
    port: Annotated[int, Option(help="Port on loopback; with three nodes, of the first. 0 takes a free one.")] = 9092,
    nodes: Annotated[int, Option(help="1, or 3 with replication.")] = 1,
    heap_mb: Annotated[int, Option(help="Java heap of each node, in MiB.")] = 512,
    log_file: Annotated[Path | None, Option(help="Kafka's log. Default: in the data directory.")] = None,
) -> None:
    """Run a real Apache Kafka on loopback until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=True)
    kafka = EmbeddedKafka(nodes, data_dir, port, heap_mb, log_file, console=console)
    try:
        with kafka:
            console.print("Apache Kafka is ready; Ctrl-C stops it. Logs:", *map(str, kafka.log_files), soft_wrap=True)
            console.print(
                f"In other terminals: export ASSAY_KAFKA_BOOTSTRAP={kafka.bootstrap}", soft_wrap=True, highlight=False
            )
            print(kafka.bootstrap, flush=True)
            while kafka.running:
                time.sleep(POLL_INTERVAL_S)
            raise BrokerError(f"Kafka ended on its own: see {', '.join(map(str, kafka.log_files))}.")
    except KeyboardInterrupt:
        console.print("Apache Kafka has stopped.")
