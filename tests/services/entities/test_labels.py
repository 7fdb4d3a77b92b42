"""Labels by entity: who they go to, and what the scorer reads of them, live and in a file."""

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka import TopicPartition

from schemas import codec
from schemas.feature_spec import FeatureSpec
from schemas.label import Label
from schemas.privacy import PrivacyKey
from schemas.topics import ENTITY_EVENTS, ENTITY_LABEL_HEADER, LABELS, TRANSACTIONS
from services.engine.dead_letters import DeadLetterWriter
from services.entities.chain import Chain
from services.entities.labels import by_entity, verdict_of
from services.entities.stage import StageProcessor
from services.observability.metrics import Metrics
from services.profiler.labels import LabelLimits, LabelProcessor
from services.scorer.processor import Limits
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.verification.hops import verify_hops
from tests.services.entities.making import (
    ENTITIES,
    bundle_of_entities,
    environment_of,
    file_features,
    round_of,
    spec_of_entities,
    values_of,
)
from tests.services.entities.test_stream import decided, scored, stages_again
from tests.services.harness import BASE_TIME_MS, WAIT_S_MAX, Stream

OF_LABELS = """
  - {name: merchant_fraud_rate, kind: labels, key: merchant, aggregation: fraud_rate, window: 10m, label_delay: 1m}
  - {name: corridor_frauds, kind: labels, key: corridor, aggregation: frauds, window: 10m, label_delay: 2m}
"""


def spec_of_labels() -> FeatureSpec:
    """The committed features with entities, two of them of labels."""
    lines = ENTITIES.strip("\n").splitlines()
    return spec_of_entities("\n".join(lines[:-2]) + OF_LABELS)


def label(payment: dict[str, Any], verdict: str = "fraud", **changes: Any) -> Label:
    """What is said of a payment, with all that names its entities."""
    ids = {"country": payment["country"]} if "country" in payment else {}
    fields = {name: payment[name] for name in ("transaction_id", "card_id", "terminal_id", "event_time_ms")}
    given = {"verdict": verdict, "source": "analyst", "labelled_at_ms": BASE_TIME_MS, "ids": ids, **fields}
    return Label.model_validate({**given, **changes})


def record(number: int, value: bytes, topic: str = "labels", **more: Any) -> Any:
    """One of a partition."""
    fields = {"topic": topic, "partition": 0, "offset": number, "timestamp": BASE_TIME_MS + 10**9, "key": b"k"}
    return SimpleNamespace(**{**fields, "value": value, "headers": (), **more})


LIMITS, LETTERS = Limits.of(RuntimeSettings(), ScorerSettings()), DeadLetterWriter(PrivacyKey("a", b"b" * 32))


def stage() -> StageProcessor:
    """Of partition 0."""
    chain = Chain(spec_of_labels(), None, "", 1_000)
    return StageProcessor(TopicPartition("t", 0), "", chain, LIMITS, LETTERS, Metrics(by_topic=True))


def labelled() -> LabelProcessor:
    """Of partition 0, which remembers 100 frauds."""
    counted = by_entity("", Chain(spec_of_labels(), None, "", 1_000))
    limits = LabelLimits(LIMITS.message_bytes_max, LIMITS.times, 100, LIMITS.scan_ids)
    return LabelProcessor(TopicPartition("t", 0), "", counted, limits, LETTERS, Metrics(by_topic=True))


def sent(processor: Any, labels: list[Label]) -> list[tuple[str, bool]]:
    """Keys and verdicts that it sends for them."""
    records = [record(number, codec.write(one)) for number, one in enumerate(labels)]
    writes = asyncio.run(processor.process(records)).writes
    found = []
    for write in (write for write in writes if write.topic == ENTITY_EVENTS.name):
        for key, value, headers in zip(write.keys, write.values, write.headers, strict=True):
            verdict = verdict_of(record(0, value, headers=headers))
            assert verdict is not None
            found.append((key.decode(), verdict.fraud))
    return found


def test_the_last_verdict_goes_to_each_entity_that_the_label_names() -> None:
    """A repetition says nothing, a fraud is taken back with the ids that it had, and what names no entity is counted."""
    processor, payment = labelled(), round_of(0)[0] | {"country": "FR", "terminal_id": "t1"}
    entities = ["merchant:t1", "corridor:t1\x1fFR"]
    assert sent(processor, [label(payment)] * 2) == [(key, True) for key in entities]
    restored = labelled()
    restored.restore(processor.snapshot().arrays())
    bare = Label(
        transaction_id=payment["transaction_id"], verdict="legitimate", source="analyst", labelled_at_ms=BASE_TIME_MS
    )
    assert sent(restored, [bare, bare]) == [(key, False) for key in entities]
    assert sent(labelled(), [label(payment, ids={})]) == [(entities[0], True)]
    without = label(payment, terminal_id=None)
    result = asyncio.run(labelled().process([record(0, codec.write(without)), record(1, b"{}")]))
    assert (result.judged, [fault.reason for fault in result.faults]) == (1, ["schema"])


def test_labels_between_events_count_in_the_logs_order_whatever_the_batches() -> None:
    """One record after the other, and all at once."""
    payments = [one | {"terminal_id": "t1", "country": "FR"} for number in range(3) for one in round_of(number)]
    values = [json.dumps(payment).encode() for payment in payments]
    router_like, labels = stage(), labelled()
    chain = router_like._chain
    headers = [("assay-entity-values", chain.passed[0].digest), ("assay-entity", b"merchant")]
    place = [("assay-source-topic", b"transactions"), ("assay-source-partition", b"0"), ("assay-source-offset", b"1")]
    log: list[Any] = []
    for number, value in enumerate(values):
        event = {"headers": (*headers, *place), "key": b"merchant:t1"}
        log.append(record(len(log), value, "entity-events", **event))
        if number % 3 == 0:
            told = asyncio.run(labels.process([record(number, codec.write(label(payments[number])))])).writes[0]
            log.append(record(len(log), told.values[0], "entity-events", key=told.keys[0], headers=told.headers[0]))
    one_by_one, at_once = stage(), stage()
    single = [write for one in log for write in asyncio.run(one_by_one.process([one])).writes]
    together = asyncio.run(at_once.process(log)).writes
    carried = [
        [dict(h)["assay-entity-values"] for write in writes for h in write.headers] for writes in (single, together)
    ]
    assert carried[0] == carried[1]
    assert len(carried[0]) == len(values)
    absorbed = stage()
    absorbed.absorb(log)
    assert all(
        np.array_equal(part, at_once.snapshot().arrays()[name]) for name, part in absorbed.snapshot().arrays().items()
    )
    rates = chain.passed[1].unpack(carried[0])[:, -1]
    assert rates.max() > 0


@pytest.mark.broker
async def test_four_partitions_give_the_bits_of_the_file_with_labels(stream: Stream, tmp_path: Path) -> None:
    """Half of each round turns out to be fraud before the next one; every feature is that of the file with these labels."""
    spec = spec_of_labels()
    environment = environment_of(bundle_of_entities(tmp_path / "bundle", spec))
    processes, all_sent = [stream.scorer(**environment), stream.entities(**environment)], []
    told = 0
    for number in range(4):
        payments = round_of(number)
        all_sent += [payment | {"is_fraud": place % 2 == 0} for place, payment in enumerate(payments)]
        await stream.send(*values_of(payments))
        await scored(stream, len(all_sent), processes)
        frauds = [label(payment) for payment in payments[::2]]
        told += sum(2 if "country" in payment else 1 for payment in payments[::2])
        keys = [one.transaction_id.encode() for one in frauds]
        await stream.send([codec.write(one) for one in frauds], keys, LABELS.name)
        await _folded(stream, told)
    found, expected = await decided(stream), file_features(spec, all_sent)
    for payment, features in zip(all_sent, expected, strict=True):
        np.testing.assert_array_equal(found[payment["transaction_id"]].view(np.uint32), features.view(np.uint32))
    assert expected[:, -2].max() > 0
    assert expected[:, -1].max() > 0
    group = f"{stream.prefix}entities"
    hops = await verify_hops(stream.kafka, stream.topics, group, TRANSACTIONS, spec.stages)
    assert hops.clean, hops
    same = await stages_again(stream, spec, ids_max=1_000)
    assert (same.compared, same.equal) == (2 * len(all_sent), True), same


async def _folded(stream: Stream, told: int) -> None:
    """Wait until so many labels lie before what comes next."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while True:
        records = await stream.read(ENTITY_EVENTS.name)
        found = sum(ENTITY_LABEL_HEADER in dict(one.headers) for one in records)
        if found >= told:
            return
        assert time.monotonic() < deadline_s, f"{found} of {told}"
        await asyncio.sleep(0.1)
