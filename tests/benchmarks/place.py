"""Where a benchmark runs: topics of its own, on a broker that is started for it, or on the one that BENCH_BOOTSTRAP names."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.broker import EmbeddedKafka
from services.kafka.client import admin
from tests.services.harness import SESSION, Stream

HEAP_MB = 1024


@contextmanager
def broker() -> Iterator[str]:
    """Its address."""
    given = os.environ.get("BENCH_BOOTSTRAP")
    if given:
        yield given
        return
    with EmbeddedKafka(heap_mb=HEAP_MB) as kafka:
        yield kafka.bootstrap


@contextmanager
def place(bootstrap: str, partitions: int = 4) -> Iterator[Stream]:
    """Topics under a prefix that no one else has; what was started on them is ended afterwards, and they are deleted."""
    with tempfile.TemporaryDirectory() as directory:
        stream = Stream(
            bootstrap, f"bench-{uuid.uuid4().hex[:8]}.", Path(directory), partitions, environment=dict(SESSION)
        )
        try:
            yield stream
        finally:
            stream.close()
            asyncio.run(_delete(stream))


async def _delete(stream: Stream) -> None:
    """A benchmark of many points would fill the broker's disk."""
    client = admin(stream.kafka)
    await client.start()
    try:
        names = [name for name in await client.list_topics() if name.startswith(stream.prefix)]
        if names:
            await client.delete_topics(names)
    finally:
        await client.close()
