"""One gateway with a real scorer on the real broker, for a module; and topics with nothing on them for a test."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.services.gateway.asking import Door
from tests.services.harness import Stream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """Both ready."""
    directory: Path = tmp_path_factory.mktemp("door")
    stream = Stream(kafka_bootstrap, f"t-{uuid.uuid4().hex[:12]}.", directory)
    await stream.create()
    made = Door(stream, ASSAY_GATEWAY_DEADLINE_MS="10000", ASSAY_GATEWAY_GRPC_PORT="0")
    made.scorer = stream.scorer()
    made.scorer.wait_ready()
    await made.ready()
    yield made
    stream.close()
