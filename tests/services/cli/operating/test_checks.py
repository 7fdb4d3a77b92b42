"""What the doctor advises where nothing answers."""

import pytest
from aiokafka.errors import KafkaConnectionError

from services.cli.operating import checks


@pytest.mark.parametrize("named", [True, False])
async def test_who_named_no_broker_hears_how_to_start_one(monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """Who named one hears what to check."""
    monkeypatch.delenv("ASSAY_KAFKA_BOOTSTRAP", raising=False)
    if named:
        monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", "127.0.0.1:1")

    async def no_answer() -> str:
        raise KafkaConnectionError

    found = await checks._checked("brokers", no_answer)
    assert not found.ok
    assert "does not answer (KafkaConnectionError)" in found.detail
    assert ("`assay broker start`" in found.detail) is not named
    assert ("check ASSAY_KAFKA_*" in found.detail) is named
