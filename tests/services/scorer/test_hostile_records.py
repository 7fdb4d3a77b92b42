"""Records that are hostile below the payload, on real processes: one dead letter at most, and everything else goes on."""

import json
import time

import pytest

from services.kafka.record_batches import UNPACKED_BYTES_MAX
from tests.services.engine.wire import PLACEHOLDER, Row, bad_names, batch, produce
from tests.services.harness import Stream, payment

NOW_MS = int(time.time() * 1000)


def row(i: int, name: str = "h", value: bytes | None = None, key: bytes | None = b"k") -> Row:
    """One payment as a row of a batch."""
    return NOW_MS, key, value or json.dumps(payment(i)).encode(), [(name, b"x")]


@pytest.fixture
def one(stream: Stream) -> Stream:
    """Where batches go to one partition."""
    stream.environment["ASSAY_PROGRESS_TIMEOUT_S"] = "20"
    return stream


@pytest.mark.slow
async def test_what_is_hostile_below_the_payload_costs_no_other_record(one: Stream) -> None:
    """Header names that are no UTF-8, bombs of every codec, keys of any bytes; then a restart without a snapshot."""
    scorer = one.scorer()
    scorer.wait_ready()
    topic = f"{one.prefix}transactions"
    bomb = b'{"z":"' + b" " * UNPACKED_BYTES_MAX + b'"}'
    at = [
        await produce(one.bootstrap, topic, data)
        for data in (
            batch([row(0), row(1, PLACEHOLDER), row(2)], patch=bad_names),
            batch([row(3), row(4, value=bomb), row(5)], "zstd"),
            batch([row(6, key=None), row(7, key=b"\xff\xfe"), row(8, name="")]),
            batch([row(9), row(10, value=bomb)], "gzip"),
            batch([row(11, PLACEHOLDER)], patch=bad_names),
        )
    ]
    await one.caught_up([scorer])
    assert scorer.metric("assay_scores_total") == 7
    assert scorer.metric("assay_dead_letters_total", reason="too_large") == 2
    letters = [json.loads(record.value) for record in await one.read("dead-letters")]
    assert [letter["source_offset"] for letter in letters] == [at[1], at[3]]
    assert f"offsets {at[1]} to {at[1] + 2} unpacks to more than 67,108,864 bytes" in letters[0]["detail"]
    scorer.kill()
    again = one.scorer(ASSAY_SNAPSHOT_URL=str(one.directory / "nothing"))
    again.wait_ready()
    await produce(one.bootstrap, topic, batch([row(12)]))
    await one.caught_up([again])
    assert again.metric("assay_scores_total") == 1
    assert again.terminate() == 0
    verdict = await one.verdict()
    assert verdict.clean, verdict.as_dict()


@pytest.mark.parametrize(
    ("module", "topic", "group"),
    [
        ("services.credit", "applications", "credit"),
        ("services.profiler", "labels", "profiler"),
        ("services.cases", "alerts", "cases"),
        ("services.monitor", "labels", "monitor"),
    ],
)
async def test_every_other_service_survives_a_header_name_that_is_no_utf8(
    one: Stream, module: str, topic: str, group: str
) -> None:
    """It ended each in a traceback, at every start."""
    service = one.service(module)
    service.wait_for_log('"http": "')
    data = batch([(NOW_MS, b"k", b"{}", [(PLACEHOLDER, b"x")])], patch=bad_names)
    for _ in range(2):
        await produce(one.bootstrap, f"{one.prefix}{topic}", data)
    await one.caught_up([service], f"{one.prefix}{group}", topic)
    assert service.returncode is None
    assert service.terminate() == 0
    assert "Traceback" not in service.log()
