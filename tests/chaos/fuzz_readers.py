"""What is drawn for every topic, through what its readers do with it. Part of `make fuzz`."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from schemas import codec
from schemas.alert import Alert
from schemas.case import CaseAction, held_card_number
from schemas.metric import ScoringMetric
from schemas.monitor import Evidence
from schemas.times import EVENT_TIME_MS_MAX
from schemas.topics import (
    ALERTS,
    CASE_ACTIONS,
    CASE_MUTES,
    CASES,
    LISTS,
    MODEL_REFERENCES,
    MONITOR_BUDGETS,
    MONITOR_EVIDENCE,
    MONITOR_LEDGER,
    MONITOR_WINDOWS,
    SCORING_METRICS,
    TERMINAL_PROFILES,
    TOPICS,
    Topic,
)
from services.cases.desk import Desk, Limits, Source, case_problem, mute_problem, partition_of
from services.faust_runtime.app import why_unusable
from services.monitor.budget import Budgets, state_problem
from services.monitor.ledger import Ledger, entry_problem
from services.monitor.references import References
from services.monitor.windows import Windows, window_problem
from services.observability.metrics import Metrics
from services.scorer.lists import ListTable
from services.scorer.profiles import ProfileTable
from tests.services.documents import TIME_MS, spoiled

ROUND_RECORDS = 5000
"""Records after which the tables are read back, and others begin."""

CHECKS: dict[str, Callable[[Any], str | None]] = {
    CASES.name: case_problem,
    CASE_MUTES.name: mute_problem,
    MONITOR_LEDGER.name: lambda message: entry_problem(86_400_000, message),
    MONITOR_WINDOWS.name: window_problem,
    MONITOR_BUDGETS.name: state_problem,
}


class Readers:
    """The services' stages on tables that are dicts. What refuses a record in a sentence of the codec's has done right."""

    def __init__(self) -> None:
        tables: dict[str, dict[bytes, bytes]] = {name: {} for name in CHECKS}
        self.tables = tables
        self.desk = Desk(tables[CASES.name], tables[CASE_MUTES.name], Limits(3_600_000, 86_400_000, 86_400_000))
        self.ledger = Ledger(tables[MONITOR_LEDGER.name], 200)
        self.windows = Windows(tables[MONITOR_WINDOWS.name], 1000, 3_600_000)
        self.budgets = Budgets(tables[MONITOR_BUDGETS.name])
        metrics = Metrics()
        self.followers = {
            MODEL_REFERENCES.name: References(metrics).apply,
            TERMINAL_PROFILES.name: ProfileTable(metrics).apply,
            LISTS.name: ListTable(metrics).apply,
        }

    def take(self, topic: Topic, message: Any) -> None:
        """One record, as the service that reads the topic takes it. Raises what it raises."""
        source = Source(message.partition, message.offset, message.timestamp, message.timestamp)
        if topic.name in self.followers:
            self.followers[topic.name]([message])
        elif topic.name in CHECKS:
            if message.value is not None and why_unusable(message, CHECKS[topic.name]) is None:
                self.tables[topic.name][message.key] = message.value
        elif topic is ALERTS:
            self.desk.alert(codec.read(Alert, message.value or b""), source)
        elif topic is CASE_ACTIONS:
            action = codec.read(CaseAction, message.value or b"")
            if held_card_number(action) is None:
                self.desk.labels(action, source)
                self.desk.act(action, source)
        elif topic is MONITOR_EVIDENCE:
            self.ledger.add(codec.read(Evidence, message.value or b""))
        elif topic is SCORING_METRICS:
            sums = codec.read(ScoringMetric, message.value or b"")
            self.windows.add(sums, message.offset)
            if (found := self.budgets.add(sums, message.offset)) is not None:
                self.budgets.keep(found[0])
        else:
            codec.read(topic.schema, message.value or b"")

    def recover(self) -> None:
        """As after a restart: whatever the checks let through can be read."""
        self.desk.recover()
        for case, action in self.desk.due(EVENT_TIME_MS_MAX):
            partition_of(case.case_id)
            codec.read(CaseAction, codec.write(action))
        self.ledger.recover()
        self.ledger.columns()
        self.windows.recover()
        self.budgets.recover()


def fuzz_readers(inputs: int, draw: random.Random) -> tuple[int, list[str]]:
    """Give each topic its share of `inputs`. Returns how many were refused, and what was wrong."""
    refused = 0
    problems: list[str] = []
    readers = Readers()
    for offset in range(inputs):
        topic = TOPICS[offset % len(TOPICS)]
        value = spoiled(topic.schema, draw)
        key = draw.choice([b"0-1", b"k", b"\xff", b"0:card:card-1", b"fraud/1@cpu"])
        message = SimpleNamespace(
            topic=topic.name, partition=0, offset=offset, timestamp=TIME_MS + offset, key=key, value=value
        )
        try:
            readers.take(topic, message)
        except codec.RejectedError:
            refused += 1
        except Exception as error:
            problems.append(f"{topic.name}: {type(error).__name__} {str(error)[:200]} on {(value or b'')[:300]!r}")
        if offset % ROUND_RECORDS == ROUND_RECORDS - 1:
            try:
                readers.recover()
            except Exception as error:
                problems.append(f"tables cannot be read back: {type(error).__name__} {str(error)[:200]}")
            readers = Readers()
    return refused, problems
