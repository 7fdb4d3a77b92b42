"""What is handed on of a record's headers: a position, and nothing that a stranger wrote."""

from dataclasses import replace

import pytest

from models.features.spec_file import parse_spec
from models.sources.spec_file import scorer_input, topic_of
from schemas.dead_letter import DeadLetterReason
from schemas.privacy import PrivacyKey
from schemas.topics import ENTITY_EVENTS, ENTITY_FEATURES, EVENTS, ORIGIN_HEADER, TOPICS, TRANSACTIONS, Topic
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, headers_of
from services.engine.origin import NO_ORIGINS, POSITION, Origins, origin_timestamps_ms
from tests.services.formats.documents import Record, source
from tests.services.harness import ROOT

ORIGIN = [(ORIGIN_HEADER, b"shop.payments-3@17")]
WRITTEN = list(zip(POSITION, (b"shop.payments", b"3", b"17", b"0123456789abcdef"), strict=True))
PREFIX = "prod."
ROUTED = Origins.of([EVENTS, ENTITY_EVENTS, ENTITY_FEATURES], PREFIX)


def users(name: str) -> Topic:
    """The topic of a source that the scorer reads as it is, named whole."""
    return replace(TRANSACTIONS, name=name, users=True)


def test_the_position_that_intake_wrote_is_handed_on() -> None:
    """As the source headers of an event say it; behind it by the header of the stages of entities."""
    assert ROUTED.headers(Record(b"{", WRITTEN, PREFIX + "events")) == ORIGIN
    for topic in ("entity-events", "entity-features"):
        assert ROUTED.headers(Record(b"{", ORIGIN, PREFIX + topic)) == ORIGIN


def test_intake_writes_no_origin_and_the_stages_no_positions_of_intake() -> None:
    """Each is believed where our own process writes it, and nowhere else."""
    assert ROUTED.headers(Record(b"{", ORIGIN, PREFIX + "events")) == []
    assert ROUTED.headers(Record(b"{", WRITTEN, PREFIX + "entity-events")) == []


@pytest.mark.parametrize("name", ["events", "shop.events", "prod.events", "card-events", "x.entity-events", "payments"])
def test_a_producer_of_the_users_topic_names_no_origin_whatever_the_topic_is_called(name: str) -> None:
    """It would send one who looks into a dead letter to another record."""
    direct = source("{type: json}").model_copy(update={"topic": name})
    for prefix in ("", PREFIX):
        origins = Origins.of([topic_of(direct), ENTITY_EVENTS], prefix)
        for headers in (ORIGIN, WRITTEN, [*WRITTEN, *ORIGIN]):
            record = Record(b"{", headers, name)
            assert origins.headers(record) == []
            assert ORIGIN_HEADER not in dict(headers_of(record, origins))
            letters = DeadLetterWriter(PrivacyKey("test", b"k"), origins)
            write = letters.write("dead-letters", [Fault(record, DeadLetterReason.SCHEMA, "x")])
            assert ORIGIN_HEADER not in dict(write.headers[0])


def test_a_topic_of_another_prefix_is_not_ours() -> None:
    """Another installation's, or one that only ends like it."""
    for topic in ("events", "other.events", "prod.events.events", "xprod.events"):
        assert ROUTED.headers(Record(b"{", WRITTEN, topic)) == []


def test_only_a_scorer_of_a_source_that_intake_reads_believes_it() -> None:
    """The source spec says so, not the topic's name."""
    spec = parse_spec((ROOT / "deploy/features/fraud.yaml").read_text())
    routed = source("{type: json}").model_copy(update={"routed": True})
    assert Origins.of([scorer_input(routed, spec)], PREFIX).positions == {PREFIX + "events"}
    assert Origins.of([scorer_input(source("{type: json}"), spec)], PREFIX) == NO_ORIGINS
    assert Origins.of([scorer_input(None, spec)], PREFIX) == NO_ORIGINS


def test_of_all_topics_three_name_an_origin() -> None:
    """Those that intake and `assay entities` write."""
    found = Origins.of(TOPICS, "")
    assert found == Origins(frozenset({"events"}), frozenset({"entity-events", "entity-features"}))


@pytest.mark.parametrize("topic", ["events", "entity-events"])
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
def test_a_header_that_is_no_position_stops_nothing_and_goes_nowhere(
    headers: list[tuple[str, bytes | None]], topic: str
) -> None:
    """A dead letter is made of the record all the same; its time is the record's own."""
    record = Record(b"{", headers, PREFIX + topic)
    assert ROUTED.headers(record) == []
    assert ORIGIN_HEADER not in dict(headers_of(record, ROUTED))
    assert origin_timestamps_ms([record]) == [record.timestamp]
