"""What is handed on of a record's headers: a position, and nothing that a stranger wrote."""

import pytest

from schemas.topics import ORIGIN_HEADER
from services.engine.faults import headers_of
from services.engine.origin import POSITION, origin_headers, origin_timestamps_ms
from tests.services.formats.documents import Record


def test_the_position_that_intake_wrote_is_handed_on() -> None:
    """And the one that the stages of entities hand on."""
    written = dict(zip(POSITION, (b"shop.payments", b"3", b"17", b"0123456789abcdef"), strict=True))
    position = [(ORIGIN_HEADER, b"shop.payments-3@17")]
    for topic in ("events", "prod.entity-events", "entity-features"):
        assert origin_headers(Record(b"{", list(written.items()), topic)) == position
        assert origin_headers(Record(b"{", position, topic)) == position


@pytest.mark.parametrize("topic", ["transactions", "shop.payments", "labels", "applications"])
def test_a_producer_of_other_topics_names_no_origin(topic: str) -> None:
    """It would send one who looks into a dead letter to another record."""
    record = Record(b"{", [(ORIGIN_HEADER, b"shop.payments-3@17")], topic)
    assert origin_headers(record) == []
    assert ORIGIN_HEADER not in dict(headers_of(record))


@pytest.mark.parametrize(
    "headers",
    [
        [(name, None) for name in POSITION],
        [(name, b"x" * 1_000_000) for name in POSITION],
        [(ORIGIN_HEADER, None)],
        [(ORIGIN_HEADER, b"4111111111111111")],
        [(ORIGIN_HEADER, b"shop-1@" + b"1" * 2_000_000)],
        [(ORIGIN_HEADER, b"shop\n-1@2")],
        [("assay-source-timestamp-ms", None)],
    ],
)
def test_a_header_that_is_no_position_stops_nothing_and_goes_nowhere(headers: list[tuple[str, bytes | None]]) -> None:
    """A dead letter is made of the record all the same; its time is the record's own."""
    record = Record(b"{", headers, "events")
    assert origin_headers(record) == []
    assert ORIGIN_HEADER not in dict(headers_of(record))
    assert origin_timestamps_ms([record]) == [record.timestamp]
