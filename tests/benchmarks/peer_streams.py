"""A peer: Kafka Streams with ONNX Runtime, where a Java compiler is."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from services.broker.jars import locked_jars
from tests.benchmarks import peer_java

HERE = peer_java.HERE / "streams"
SETTLED_S = 3.0
"""From "running" until every partition's position is known: Kafka Streams does not say when."""


def command(bootstrap: str, source: str, out: str, start: str, count: int, entities: Sequence[str] = ()) -> list[str]:
    """Scores `source` to `out`, from "earliest" or "latest"; after `count` records it prints how many a second, and ends.

    entities: over whose partitions the payments go first, each the fields that name it, joined by +. Raises JarError and
    OptionError.
    """
    program = peer_java.program(HERE / "Streams.java", locked_jars() + locked_jars(HERE / "streams.lock.toml"))
    arguments = [bootstrap, source, out, str(peer_java.GRAPH), start, str(count)]
    return [*program, *arguments, *([",".join(entities)] if entities else [])]


@contextmanager
def running(bootstrap: str, source: str, out: str, entities: Sequence[str] = ()) -> Iterator[int]:
    """The peer's process id while it runs, from the topic's end on."""
    process = subprocess.Popen(
        command(bootstrap, source, out, "latest", 0, entities),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        if not any(line.strip() == "ready" for line in process.stdout):
            raise SystemExit("the Kafka Streams peer failed")
        time.sleep(SETTLED_S)
        yield process.pid
    finally:
        process.kill()
        process.wait()
