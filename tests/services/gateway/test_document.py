"""Whatever the OpenAPI document allows, and what it does not, is answered: never with a 500."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.gateway.asking import Door

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_nothing_that_is_made_of_the_document_is_answered_with_500(door: Door, tmp_path: Path) -> None:
    """schemathesis sends good and bad requests, and compares each answer with its schema."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{door.url}/openapi.json",
        "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--max-examples=100",
        "--seed=7",
        "--phases=examples,coverage,fuzzing",
        "--suppress-health-check=all",
    ]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert door.process.metric("assay_gateway_responses_total", status="200") > 0
    assert door.process.metric("assay_gateway_responses_total", status="500") == 0
