"""One record stops no low-rate service: every topic that it reads is given hostile ones, while it runs and before it starts.

A canary after each: what is good is worked as if nothing had happened.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from schemas import codec
from schemas.label import Label
from schemas.topics import (
    ALERTS,
    CASE_ACTIONS,
    CASE_MUTES,
    CASES,
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    MODEL_REFERENCES,
    MONITOR_BUDGETS,
    MONITOR_EVIDENCE,
    MONITOR_LEDGER,
    MONITOR_WINDOWS,
    SCORING_METRICS,
    TERMINAL_PROFILES,
    TERMINAL_SUMS,
    Topic,
)
from tests.services.cases.test_stream import alert, until_async
from tests.services.documents import HOSTILE, spoiled
from tests.services.harness import BASE_TIME_MS, Scorer, Stream

RANDOM_RECORDS = 150

LEFT_OUT = ("assay_skipped_records_total", "assay_dead_letters_total", "assay_table_records_refused_total")

CASE: dict[str, Any] = {
    "case_id": "0-1", "card_id": "c", "state": "open", "change": "opened", "version": 1, "priority": 1.0, "opened_at_ms": 1,
    "changed_at_ms": 1, "window_start_ms": 1, "window_end_ms": 2, "alerts": 1, "amount": 1.0, "listed": [], "reasons": [],
    "model": "m",
}  # fmt: skip
WINDOW = {"sums": 1, "probability": [1], "anomaly_percentile": [1], "features": [[1], []]}
DAY: dict[str, Any] = {
    "counted": {"day": 20_000, "payments": 1, "used": 1.0, "fixed": 0.0, "steps": [3], "weights": [1.0]},
    "hours": [0] * 24,
}
BUDGET: dict[str, Any] = {
    "sums": {
        "group": "g",
        "policy": {"name": "fraud", "version": 1, "digest": "0" * 64},
        "budget": {"per_day": 5.0, "time_zone": "UTC", "probability": {"lowest": 0.1, "highest": 0.9}},
    },
    "days": [DAY],
}
SUMS: dict[str, Any] = {
    "source_topic": "t",
    "source_partition": 0,
    "first_offset": 0,
    "last_offset": 0,
    "until_ms": 1,
    "model": "m",
    "records": 1,
    "scored": 1,
    "alerts": 0,
    "dead_letters": 0,
    "late": 0,
    "amount_sum": 0.0,
    "alert_amount_sum": 0.0,
    "probability_histogram": [],
    "anomaly_percentile_histogram": [],
}

KNOWN: dict[str, list[tuple[bytes, Any]]] = {
    CASES.name: [
        (b"abc", {**CASE, "case_id": "abc"}),
        (b"0-1\r\nX-Evil: 1", {**CASE, "case_id": "0-1\r\nX-Evil: 1"}),
        (b"9-1", {**CASE, "case_id": "9-1"}),
        (b"0-5", {**CASE, "case_id": "0-6"}),
        (b"\xff", CASE),
    ],
    CASE_ACTIONS.name: [(b"k", {"action": "confirm", "case_id": "no such case", "by": "a"})],
    ALERTS.name: [
        (b"k", codec.write(alert(n, "sums-to-infinity", amount=1e308, probability=1.0))) for n in range(3)
    ],
    MONITOR_LEDGER.name: [(b"k", {}), (b"\xff", {}), (b"k", {"told": {"verdict": "fraud", "labelled_at_ms": 4_000_000_000_000,
                          "partition": 0, "offset": 0}})],
    MONITOR_WINDOWS.name: [(b"a", WINDOW), (b"\xff", WINDOW), (b"fraud/1@cpu", {**WINDOW, "probability": []})],
    MONITOR_BUDGETS.name: [(b"a", BUDGET), (b"\xff", BUDGET), (b"fraud", {**BUDGET, "days": [{**DAY, "hours": [1]}]})],
    SCORING_METRICS.name: [(b"k", {**SUMS, "budget": {**BUDGET["sums"], "days": [{**DAY["counted"], "weights": []}]}})],
    LABELS.name: [
        (b"k", {"transaction_id": "t", "verdict": "fraud", "source": "analyst", "labelled_at_ms": 4_000_000_000_000}),
    ],
    TERMINAL_SUMS.name: [
        (b"k", {"day": 18_000, "terminal_ids": ["t"], "payments": [2**31], "frauds": [-(2**40)]}),
        (b"k", {"day": 18_000, "terminal_ids": ["t"], "payments": [], "frauds": [0]}),
    ],
}  # fmt: skip


async def hostile(stream: Stream, topics: Sequence[Topic], seed: int) -> None:
    """Everything that is known, and more that is drawn, onto each topic."""
    draw = random.Random(seed)
    for topic in topics:
        drawn = [spoiled(topic.schema, draw) for _ in range(RANDOM_RECORDS)]
        values = [*HOSTILE, *drawn]
        keys = [draw.choice([b"k", b"0-1", b"\xff", b"fraud/1@cpu"]) for _ in values]
        for key, known in KNOWN.get(topic.name, []):
            keys.append(key)
            values.append(known if isinstance(known, bytes) else json.dumps(known).encode())
        await stream.send(values, keys, topic.name)


def label(name: str) -> tuple[bytes, bytes]:
    """Of a payment, with all that a profile needs."""
    said = Label(
        transaction_id=name,
        verdict="fraud",
        source="chargeback",
        labelled_at_ms=BASE_TIME_MS,
        event_time_ms=BASE_TIME_MS,
        terminal_id=name,
    )
    return codec.write(said), name.encode()


def canary_alert(name: str) -> tuple[bytes, bytes]:
    """Of a card of its own."""
    return codec.write(alert(0, name)), name.encode()


SERVICES: dict[str, tuple[Sequence[Topic], Topic, Callable[[str], tuple[bytes, bytes]], Topic, dict[str, str]]] = {
    "services.cases": (
        (ALERTS, CASE_ACTIONS, CASES, CASE_MUTES),
        ALERTS,
        canary_alert,
        CASES,
        {
            "ASSAY_CASES_TICK_S": "1",
            "ASSAY_CASES_WEBHOOK_URL": "http://127.0.0.1:1/",
            "ASSAY_CASES_WEBHOOK_SECRET": "a secret of these tests",
            "ASSAY_CASES_WEBHOOK_ATTEMPTS_MAX": "1",
        },
    ),
    "services.monitor": (
        (
            SCORING_METRICS,
            MODEL_REFERENCES,
            DECISIONS,
            LABELS,
            MONITOR_EVIDENCE,
            MONITOR_LEDGER,
            MONITOR_WINDOWS,
            MONITOR_BUDGETS,
        ),
        LABELS,
        label,
        MONITOR_LEDGER,
        {"ASSAY_MONITOR_QUALITY_INTERVAL_S": "1", "ASSAY_MONITOR_WINDOW_RECORDS": "100", "ASSAY_MONITOR_WINDOW_H": "0"},
    ),
    "services.profiler": ((LABELS, TERMINAL_SUMS), LABELS, label, TERMINAL_PROFILES, {"ASSAY_DEAD_LETTER_SHARE_MAX": "1"}),
}  # fmt: skip


async def worked(stream: Stream, service: Scorer, module: str, name: str) -> None:
    """Send a canary, and wait until it is where the service puts it."""
    _, source, make, result, _ = SERVICES[module]
    value, key = make(name)
    await stream.send([value], [key], source.name)

    async def seen() -> bool:
        return any(
            name.encode() in (record.value or b"") + (record.key or b"") for record in await stream.read(result.name)
        )

    await until_async(service, seen)


@pytest.mark.slow
@pytest.mark.parametrize("module", SERVICES)
async def test_hostile_records_on_every_topic_of_a_service_stop_neither_it_nor_its_next_start(
    stream: Stream, module: str
) -> None:
    """A service's own tables among them. Each is a dead letter, or is named in the log and counted."""
    topics, settings = SERVICES[module][0], SERVICES[module][4]
    first = stream.service(module, **settings)
    await worked(stream, first, module, "canary-before")
    await hostile(stream, topics, seed=1)
    await worked(stream, first, module, "canary-running")
    left_out = sum(map(first.metric, LEFT_OUT))
    assert first.terminate() == 0, first.log()[-3000:]
    second = stream.service(module, **settings)
    await worked(stream, second, module, "canary-restarted")
    left_out += sum(map(second.metric, LEFT_OUT))
    assert second.terminate() == 0, second.log()[-3000:]
    assert left_out > len(topics) * len(HOSTILE)
    written = first.log() + second.log()
    assert "Traceback" not in written
    assert not any(word in written for word in ("X-Evil", "99999999", "4111111111111111"))
    for letter in await stream.read(DEAD_LETTERS.name):
        assert b"X-Evil" not in letter.value
