"""A stream of a test's own on the shared broker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.harness import Stream


@pytest.fixture
async def stream(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Stream]:
    """Topics created; every scorer ended afterwards."""
    stream = Stream(kafka_bootstrap, topic_prefix, tmp_path)
    await stream.create()
    yield stream
    stream.close()
