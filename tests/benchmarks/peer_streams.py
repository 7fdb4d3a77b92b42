"""A peer: Kafka Streams with ONNX Runtime, where a Java compiler is: its program is compiled as it starts."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.broker.jars import class_path, locked_jars
from tests.benchmarks.common import BUNDLE
from tests.services.harness import ROOT

HERE = Path(__file__).parent / "streams"
SETTLED_S = 3.0
"""From "running" until every partition's position is known: Kafka Streams does not say when."""


def java() -> Path | None:
    """The `java` beside a compiler; None where there is none: a JDK's, of version 17 or newer."""
    compiler = shutil.which("javac")
    return Path(compiler).resolve().with_name("java") if compiler else None


def command(bootstrap: str, source: str, out: str, start: str, count: int, entities: Sequence[str] = ()) -> list[str]:
    """Scores `source` to `out`, from "earliest" or "latest"; after `count` records it prints how many a second, and ends.

    entities: over whose partitions the payments go first, each the fields that name it, joined by +.
    """
    runtime = java()
    assert runtime is not None, "ask `java` first"
    jars = class_path(locked_jars() + locked_jars(HERE / "streams.lock.toml"))
    graph = ROOT / BUNDLE / "model.onnx"
    arguments = [bootstrap, source, out, str(graph), start, str(count)]
    arguments += [",".join(entities)] if entities else []
    return [str(runtime), "-Xmx1g", "-cp", jars, str(HERE / "Peer.java"), *arguments]


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
