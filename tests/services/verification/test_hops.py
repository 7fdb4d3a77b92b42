"""The oracle of the entities' hops finds each kind of damage: pure, on records as the topics would hold them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.topics import (
    ENTITY_HEADER,
    ENTITY_VALUES_HEADER,
    REQUEST_HEADER,
    TRANSACTIONS,
    position_headers,
)
from services.engine.placement import place
from services.settings.kafka import KafkaSettings, TopicSettings
from services.verification.hops import HopsVerdict, _Hops

STAGES = ("device", "payee")
PARTITIONS, EVENTS = 3, 30
SOURCE, EVENTS_TOPIC, FEATURES, LETTERS = "transactions", "entity-events", "entity-features", "dead-letters"
ANSWERS_TOPIC = "answers"
Log = dict[TopicPartition, list[Any]]
Position = tuple[str, int, int]


def add(log: Log, topic: str, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> Any:
    """One record more at the partition's end."""
    found = log.setdefault(TopicPartition(topic, partition), [])
    offset = found[-1].offset + 1 if found else 0
    record = SimpleNamespace(topic=topic, partition=partition, offset=offset, key=key, value=value, headers=headers)
    found.append(record)
    return record


def named(topic: str, partition: int, offset: int) -> list[tuple[str, bytes]]:
    """Headers that name a record."""
    return position_headers(topic, partition, [offset], [1])[0]


def made() -> Log:
    """Every event on every topic, as `assay entities` would write them; the last is a dead letter, and answered."""
    log: Log = {}
    for number in range(EVENTS):
        value = b"event %d" % number
        asks = [(REQUEST_HEADER, b"gateway:%d" % number)] if number % 2 else []
        own = add(log, SOURCE, number % PARTITIONS, b"card", value, asks)
        source = named(SOURCE, own.partition, own.offset)
        if number == EVENTS - 1:
            add(log, LETTERS, own.partition, b"", b"{}", source)
            add(log, ANSWERS_TOPIC, own.partition, b"", b"{}", [*source, *asks])
            continue
        source += asks
        for name in STAGES:
            key = f"{name}:{number % 5 or ''}"
            where = own.partition if key.endswith(":") else place(key.encode(), PARTITIONS)
            headers = [(ENTITY_VALUES_HEADER, b"values"), (ENTITY_HEADER, name.encode()), *source]
            add(log, EVENTS_TOPIC, where, key.encode(), value, headers)
        add(log, FEATURES, own.partition, b"card", value, [(ENTITY_VALUES_HEADER, b"values"), *source])
    return log


def judged(log: Log, begins: dict[TopicPartition, int] | None = None, behind: int = 0) -> HopsVerdict:
    """What the oracle says. behind: so many records of each partition of `entity-events` are not committed."""
    hops = _Hops(KafkaSettings(), TopicSettings(), TRANSACTIONS, STAGES, None)
    hops._partitions = dict.fromkeys((SOURCE, EVENTS_TOPIC, FEATURES, LETTERS, ANSWERS_TOPIC), PARTITIONS)
    starts = dict.fromkeys((TopicPartition(t, p) for t in hops._partitions for p in range(PARTITIONS)), 0)
    starts |= begins or {}
    for tp, records in sorted(log.items()):
        hops._take(tp, [record for record in records if record.offset >= starts[tp]])
    committed = {
        topic: {tp.partition: records[-1].offset + 1 - back for tp, records in log.items() if tp.topic == topic}
        for topic, back in ((SOURCE, 0), (EVENTS_TOPIC, behind))
    }
    return hops._judged(committed, starts, from_first_output=False)


def of(log: Log, topic: str, name: str | None = None) -> list[Any]:
    """Records of a topic, of one entity where it is named."""
    found = [record for tp, records in sorted(log.items()) if tp.topic == topic for record in records]
    return [one for one in found if name is None or dict(one.headers)[ENTITY_HEADER] == name.encode()]


def test_every_event_on_every_topic_once_is_clean() -> None:
    """Events without an id stay on their source's partition; a dead letter is an answer, too."""
    found = judged(made())
    assert found.clean, found
    assert found.stages == {"device": EVENTS - 1, "payee": EVENTS - 1, FEATURES: EVENTS - 1}
    assert (found.verdict.inputs, found.verdict.dead_letters, found.verdict.lag) == (EVENTS, 1, 0)


def lost(topic: str, name: str | None = None) -> Callable[[Log], None]:
    """One record is not there."""

    def damage(log: Log) -> None:
        record = of(log, topic, name)[4]
        log[TopicPartition(topic, record.partition)].remove(record)

    return damage


def unanswered(log: Log) -> None:
    """The bad input's dead letter is not there."""
    log[TopicPartition(LETTERS, (EVENTS - 1) % PARTITIONS)].clear()


def repeated(topic: str, name: str | None = None) -> Callable[[Log], None]:
    """One record is there twice."""

    def damage(log: Log) -> None:
        record = of(log, topic, name)[4]
        add(log, topic, record.partition, record.key, record.value, record.headers)

    return damage


def moved(log: Log) -> None:
    """One record lies on another partition than its key's."""
    record = next(one for one in of(log, EVENTS_TOPIC, "payee") if not one.key.endswith(b":"))
    log[TopicPartition(EVENTS_TOPIC, record.partition)].remove(record)
    add(log, EVENTS_TOPIC, (record.partition + 1) % PARTITIONS, record.key, record.value, record.headers)


def changed(log: Log) -> None:
    """One record has another value than its source's."""
    of(log, FEATURES)[2].value = b"another"


def bare(log: Log) -> None:
    """One record carries no values."""
    record = of(log, FEATURES)[2]
    record.headers = [header for header in record.headers if header[0] != ENTITY_VALUES_HEADER]


def invented(log: Log) -> None:
    """One record of a source record that is not there."""
    record = of(log, FEATURES)[2]
    headers = [(ENTITY_VALUES_HEADER, b""), *named(SOURCE, record.partition, 999)]
    add(log, FEATURES, record.partition, b"card", b"event", headers)


def left_waiting(log: Log) -> None:
    """The bad input asked, and has no answer."""
    log[TopicPartition(ANSWERS_TOPIC, (EVENTS - 1) % PARTITIONS)].clear()


def answered_twice(log: Log) -> None:
    """The bad input has two."""
    (answer,) = of(log, ANSWERS_TOPIC)
    add(log, ANSWERS_TOPIC, answer.partition, b"", b"{}", answer.headers)


def answered_unasked(log: Log) -> None:
    """A stage answers an event that it passed on."""
    add(log, ANSWERS_TOPIC, 0, b"", b"{}", named(SOURCE, 0, 0))


def forgotten(log: Log) -> None:
    """One record does not say any more that its sender waits."""
    record = next(one for one in of(log, FEATURES) if REQUEST_HEADER in dict(one.headers))
    record.headers = [header for header in record.headers if header[0] != REQUEST_HEADER]


def unknown(log: Log) -> None:
    """One record is for an entity of no feature spec."""
    record = of(log, EVENTS_TOPIC, "device")[2]
    record.headers = [(ENTITY_HEADER, b"address"), *named(SOURCE, record.partition, 0)]


def swapped(log: Log) -> None:
    """Two records of one partition stand in the wrong order."""
    first, second = log[TopicPartition(FEATURES, 0)][3:5]
    first.headers, second.headers = second.headers, first.headers
    first.value, second.value = second.value, first.value


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lost(EVENTS_TOPIC, "device"), "missing"),
        (lost(EVENTS_TOPIC, "payee"), "missing"),
        (lost(FEATURES), "missing"),
        (unanswered, "missing"),
        (repeated(EVENTS_TOPIC, "device"), "duplicate"),
        (repeated(EVENTS_TOPIC, "payee"), "duplicate"),
        (repeated(FEATURES), "duplicate"),
        (moved, "inconsistent"),
        (changed, "inconsistent"),
        (bare, "inconsistent"),
        (invented, "inconsistent"),
        (unknown, "inconsistent"),
        (swapped, "out_of_order"),
        (left_waiting, "missing"),
        (answered_twice, "duplicate"),
        (answered_unasked, "inconsistent"),
        (forgotten, "inconsistent"),
    ],
)
def test_each_kind_of_damage_is_found(damage: Callable[[Log], None], kind: str) -> None:
    """On each hop, with the position as an example."""
    log = made()
    damage(log)
    found = judged(log)
    assert getattr(found.verdict, kind) >= 1
    assert found.verdict.examples[kind]


def test_what_a_stage_has_not_committed_is_on_its_way() -> None:
    """Neither missing nor damage: it is counted as lag."""
    log = made()
    for tp in [tp for tp in log if tp.topic == FEATURES]:
        del log[tp]
    found = judged(log, behind=EVENTS)
    assert found.clean, found
    assert (found.verdict.lag, found.stages[FEATURES]) == (EVENTS - 1, 0)


def test_what_retention_deleted_is_left_out() -> None:
    """The oldest records of one partition behind the last entity: their events are not missing."""
    log, gone = made(), TopicPartition(FEATURES, 1)
    first = log[gone][4].offset
    found = judged(log, {gone: first})
    assert found.clean, found
    assert found.verdict.unjudged >= 4
