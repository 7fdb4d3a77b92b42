"""A peer: Flink with ONNX Runtime, in a cluster inside its process, where a Java compiler is."""

from dataclasses import replace

from services.broker.jars import Jar, locked_jars
from tests.benchmarks import peer_java

HERE = peer_java.HERE / "flink"
LOCK = HERE / "flink.lock.toml"
OPENED = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.util", "java.time")]
"""As Flink's own start scripts open them."""


def jars() -> tuple[Jar, ...]:
    """All that it needs, Kafka's client of its own version among them."""
    return tuple(
        replace(jar, program="Flink peer", way_out="compare without it", lock=LOCK.name) for jar in locked_jars(LOCK)
    )


def scoring(bootstrap: str, source: str, out: str, count: int, partitions: int) -> list[str]:
    """Scores the first `count` of `source` to `out`; then it prints how many a second, and ends.

    Raises JarError, OptionError.
    """
    program = peer_java.program(HERE / "Flink.java", jars(), *OPENED)
    return [*program, bootstrap, source, out, str(peer_java.GRAPH), str(count), str(partitions)]
