"""Every topic: name, key, schema, partitions, retention, cleanup. The only list of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from schemas.alert import Alert
from schemas.answer import Answer
from schemas.application import Application
from schemas.approval import ApprovalRecord
from schemas.audit import AuditEntry
from schemas.base import Message
from schemas.budget import BudgetState
from schemas.case import Case, CaseAction, Mute
from schemas.control import Control
from schemas.credit import CreditDecision, CreditScore
from schemas.credit_label import CreditLabel
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.event import Event
from schemas.label import Label
from schemas.lists import ListEntry
from schemas.metric import ScoringMetric
from schemas.monitor import DriftWindow, Evidence, LedgerEntry, ModelReference, MonitorReport
from schemas.score import Score
from schemas.terminal import TerminalProfile, TerminalSums
from schemas.transaction import Transaction

DAY_MS = 24 * 3600 * 1000

STAMP_AHEAD_MS_MAX = 3600 * 1000
"""How far ahead of the broker's clock a producer may stamp a record (message.timestamp.after.max.ms, KIP-937)."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic's contract.

    partitions: "input" means as many as the input topic has, so that a card's records stay together and in order.
    retention_ms: how long the broker keeps records; None keeps them until compaction.
    replayed: compacted, but replaced records stay for as long as `transactions` do, so that a replay finds them.
    stamped_by: whose clock a record's timestamp is. The producer's where latency counts from it, and then the broker bounds it.
    users: it is a topic of the user's, named whole: Assay's prefix does not stand before it.
    """

    name: str
    schema: type[Message]
    key: str
    written_by: str
    retention_ms: int | None
    partitions: Literal["input", "one"] = "input"
    cleanup: Literal["delete", "compact"] = "delete"
    replayed: bool = False
    stamped_by: Literal["broker", "producer"] = "broker"
    users: bool = False

    def full_name(self, prefix: str) -> str:
        """As the brokers have it. prefix: ASSAY_TOPIC_PREFIX."""
        return self.name if self.users else prefix + self.name


TRANSACTIONS = Topic("transactions", Transaction, "card_id", "the user's systems", 32 * DAY_MS, stamped_by="producer")
ENTITY_EVENTS = Topic("entity-events", Transaction, "entity, id", "entities", 32 * DAY_MS, stamped_by="producer")
"""An event as the source has it, on its way to the next of its entities; the values found so far are in a header. Between
them, where features read labels by entity, what a label says of one of its events: time, verdict, subject."""
ENTITY_FEATURES = Topic("entity-features", Transaction, "card_id", "entities", 32 * DAY_MS, stamped_by="producer")
"""An event as the source has it, with the values of all its entities in a header: what the scorer reads if there are some."""
EVENTS = Topic("events", Event, "subject", "intake", 32 * DAY_MS)
"""Of a source that is routed. Kept as long as `transactions`: it is the log that the scorer's state is folded from."""
SCORES = Topic("scores", Score, "card_id", "scorer", 7 * DAY_MS)
ALERTS = Topic("alerts", Alert, "card_id", "scorer", 30 * DAY_MS)
DECISIONS = Topic("decisions", Decision, "card_id", "scorer", 180 * DAY_MS)
DEAD_LETTERS = Topic("dead-letters", DeadLetter, "none", "scorer", 30 * DAY_MS)
SCORING_METRICS = Topic("scoring-metrics", ScoringMetric, "none", "scorer", 7 * DAY_MS, partitions="one")
MODEL_REFERENCES = Topic(
    "model-references", ModelReference, "model", "scorer", None, partitions="one", cleanup="compact"
)
TERMINAL_SUMS = Topic("terminal-sums", TerminalSums, "none", "scorer, profiler", 62 * DAY_MS, partitions="one")
TERMINAL_PROFILES = Topic(
    "terminal-profiles",
    TerminalProfile,
    "terminal_id",
    "profiler",
    None,
    partitions="one",
    cleanup="compact",
    replayed=True,
)
LISTS = Topic(
    "lists",
    ListEntry,
    "list, field, kind, value",
    "analysts, cases",
    None,
    partitions="one",
    cleanup="compact",
    replayed=True,
)
LABELS = Topic("labels", Label, "transaction_id", "the user's systems, analysts, cases", 200 * DAY_MS)
CASE_ACTIONS = Topic("case-actions", CaseAction, "none", "analysts, cases", 30 * DAY_MS)
CASES = Topic("cases", Case, "case_id", "cases", None, cleanup="compact")
CASE_MUTES = Topic("case-mutes", Mute, "partition, scope, id", "cases", None, cleanup="compact")
MONITOR_EVIDENCE = Topic("monitor-evidence", Evidence, "transaction_id", "monitor", 7 * DAY_MS, partitions="one")
MONITOR_LEDGER = Topic(
    "monitor-ledger", LedgerEntry, "transaction_id", "monitor", None, partitions="one", cleanup="compact"
)
MONITOR_WINDOWS = Topic("monitor-windows", DriftWindow, "model", "monitor", None, partitions="one", cleanup="compact")
MONITOR_BUDGETS = Topic(
    "monitor-budgets", BudgetState, "policy line", "monitor", None, partitions="one", cleanup="compact"
)
MONITOR = Topic("monitor", MonitorReport, "model", "monitor", 180 * DAY_MS, partitions="one")
APPLICATIONS = Topic(
    "applications", Application, "applicant_id", "the user's systems", 32 * DAY_MS, stamped_by="producer"
)
CREDIT_SCORES = Topic("credit-scores", CreditScore, "applicant_id", "credit", 7 * DAY_MS)
CREDIT_DECISIONS = Topic("credit-decisions", CreditDecision, "applicant_id", "credit", 800 * DAY_MS)
"""Kept for 25 months and more: 12 CFR 1002.12(b), records of applications."""
CREDIT_SCORING_METRICS = Topic("credit-scoring-metrics", ScoringMetric, "none", "credit", 7 * DAY_MS, partitions="one")
CREDIT_MODEL_REFERENCES = Topic(
    "credit-model-references", ModelReference, "model", "credit", None, partitions="one", cleanup="compact"
)
CREDIT_LABELS = Topic("credit-labels", CreditLabel, "application_id", "the user's systems", 800 * DAY_MS)
CREDIT_MONITOR_EVIDENCE = Topic(
    "credit-monitor-evidence", Evidence, "application_id", "credit monitor", 7 * DAY_MS, partitions="one"
)
CREDIT_MONITOR_LEDGER = Topic(
    "credit-monitor-ledger",
    LedgerEntry,
    "application_id",
    "credit monitor",
    None,
    partitions="one",
    cleanup="compact",
)
CREDIT_MONITOR_WINDOWS = Topic(
    "credit-monitor-windows", DriftWindow, "model", "credit monitor", None, partitions="one", cleanup="compact"
)
CREDIT_MONITOR = Topic("credit-monitor", MonitorReport, "model", "credit monitor", 800 * DAY_MS, partitions="one")
"""Kept as long as the decisions that it is about."""
CONTROL = Topic("control", Control, "group, channel", "assay registry", None, partitions="one", cleanup="compact")
CONTROL_ANSWERS = Topic(
    "control-answers", Control, "group, channel, partition", "scorer", None, partitions="one", cleanup="compact"
)
"""Apart from the commands, so that who may answer cannot command, and who may command cannot answer."""
CREDIT_CONTROL = Topic(
    "credit-control",
    Control,
    "group, channel",
    "assay registry, assay policy",
    None,
    partitions="one",
    cleanup="compact",
)
CREDIT_CONTROL_ANSWERS = Topic(
    "credit-control-answers", Control, "group, channel, partition", "credit", None, partitions="one", cleanup="compact"
)
"""Apart from those of payments: who may change what is decided about payments cannot change what is about applications."""
ANSWERS = Topic("answers", Answer, "transaction_id", "scorer", DAY_MS)
"""To events whose records ask for one; without a key where the event was refused. On the event's own partition, so that a
repetition's answer lies behind the decision, and a partition without an owner holds back no other's answers."""
AUDIT = Topic("audit", AuditEntry, "chain", "console", 800 * DAY_MS, partitions="one")
"""What people did, asked for and were refused on the console's pages; kept as decisions on credit are."""
APPROVALS = Topic(
    "approvals", ApprovalRecord, "request", "operators, analysts, console", 800 * DAY_MS, partitions="one"
)
"""Requests for changes that need a second person, and what others said to them."""

TOPICS = (
    TRANSACTIONS,
    ENTITY_EVENTS,
    ENTITY_FEATURES,
    EVENTS,
    SCORES,
    ALERTS,
    DECISIONS,
    DEAD_LETTERS,
    SCORING_METRICS,
    MODEL_REFERENCES,
    TERMINAL_SUMS,
    TERMINAL_PROFILES,
    LISTS,
    LABELS,
    CASE_ACTIONS,
    CASES,
    CASE_MUTES,
    MONITOR_EVIDENCE,
    MONITOR_LEDGER,
    MONITOR_WINDOWS,
    MONITOR_BUDGETS,
    MONITOR,
    APPLICATIONS,
    CREDIT_SCORES,
    CREDIT_DECISIONS,
    CREDIT_SCORING_METRICS,
    CREDIT_MODEL_REFERENCES,
    CREDIT_LABELS,
    CREDIT_MONITOR_EVIDENCE,
    CREDIT_MONITOR_LEDGER,
    CREDIT_MONITOR_WINDOWS,
    CREDIT_MONITOR,
    CONTROL,
    CONTROL_ANSWERS,
    CREDIT_CONTROL,
    CREDIT_CONTROL_ANSWERS,
    ANSWERS,
    AUDIT,
    APPROVALS,
)
SCORER_OUTPUTS = (
    SCORES,
    ALERTS,
    DECISIONS,
    DEAD_LETTERS,
    SCORING_METRICS,
    MODEL_REFERENCES,
    TERMINAL_SUMS,
    CONTROL_ANSWERS,
    ANSWERS,
)
PROFILER_OUTPUTS = (TERMINAL_SUMS, TERMINAL_PROFILES, DEAD_LETTERS)
ENTITIES_OUTPUTS = (ENTITY_EVENTS, ENTITY_FEATURES, DEAD_LETTERS, ANSWERS)
INTAKE_OUTPUTS = (EVENTS, DEAD_LETTERS)
CONVERTED = (SCORES, ALERTS, DECISIONS)
"""What `assay convert` copies in a typed format."""


def typed_copy(topic: Topic, form: Literal["avro", "protobuf"]) -> Topic:
    """The topic of a typed copy: `scores.avro`."""
    return replace(topic, name=f"{topic.name}.{form}", written_by="converter")


TYPED_COPIES = tuple(typed_copy(topic, form) for form in ("avro", "protobuf") for topic in CONVERTED)
CREDIT_OUTPUTS = (
    CREDIT_SCORES,
    CREDIT_DECISIONS,
    DEAD_LETTERS,
    CREDIT_SCORING_METRICS,
    CREDIT_MODEL_REFERENCES,
    CREDIT_CONTROL_ANSWERS,
)


@dataclass(frozen=True, slots=True)
class Access:
    """What one program does with topics, and so what it may do. From it come the ACLs in deploy/acls.

    reads: in a consumer group of its own (grouped), or without one. grouped: these are committed to the group.
    lag_of: it measures how far another program's group is behind on these, and reads none of them.
    describes: it has to know how many partitions these have, and reads none of them.
    transactional: writes and commits in transactions of ids that begin with `assay-<group>-`. group_suffixes: of its groups.
    """

    name: str
    reads: tuple[Topic, ...] = ()
    grouped: tuple[Topic, ...] = ()
    writes: tuple[Topic, ...] = ()
    transactional: bool = False
    group_suffixes: tuple[str, ...] = ("",)
    lag_of: tuple[str, tuple[Topic, ...]] = ("", ())
    describes: tuple[Topic, ...] = ()

    @property
    def group_of(self) -> str:
        """Whose consumer group it has to do with; empty where with none."""
        return self.name if self.grouped else self.lag_of[0]


ACCESS = (
    Access(
        "scorer",
        reads=(TERMINAL_PROFILES, LISTS, CONTROL, CONTROL_ANSWERS),
        grouped=(TRANSACTIONS, EVENTS, ENTITY_FEATURES),
        writes=SCORER_OUTPUTS,
        transactional=True,
    ),
    Access(
        "entities",
        grouped=(TRANSACTIONS, EVENTS, ENTITY_EVENTS, LABELS),
        writes=ENTITIES_OUTPUTS,
        transactional=True,
    ),
    Access("intake", grouped=(TRANSACTIONS,), writes=INTAKE_OUTPUTS, transactional=True),
    Access("converter", grouped=CONVERTED, writes=(*TYPED_COPIES, DEAD_LETTERS), transactional=True),
    Access("profiler", grouped=(LABELS, TERMINAL_SUMS), writes=PROFILER_OUTPUTS, transactional=True),
    Access(
        "credit",
        reads=(CREDIT_CONTROL, CREDIT_CONTROL_ANSWERS),
        grouped=(APPLICATIONS,),
        writes=CREDIT_OUTPUTS,
        transactional=True,
    ),
    Access(
        "cases",
        reads=(CASE_MUTES,),
        grouped=(ALERTS, CASE_ACTIONS, CASES),
        writes=(CASES, CASE_MUTES, CASE_ACTIONS, LABELS, LISTS, DEAD_LETTERS),
        group_suffixes=("", "-webhook"),
    ),
    Access(
        "monitor",
        reads=(MODEL_REFERENCES, MONITOR_LEDGER, MONITOR_WINDOWS, MONITOR_BUDGETS),
        grouped=(SCORING_METRICS, DECISIONS, LABELS, MONITOR_EVIDENCE),
        writes=(MONITOR_EVIDENCE, MONITOR_LEDGER, MONITOR_WINDOWS, MONITOR_BUDGETS, MONITOR, CONTROL),
    ),
    Access(
        "credit-monitor",
        reads=(CREDIT_MODEL_REFERENCES, CREDIT_MONITOR_LEDGER, CREDIT_MONITOR_WINDOWS),
        grouped=(CREDIT_SCORING_METRICS, CREDIT_DECISIONS, CREDIT_LABELS, CREDIT_MONITOR_EVIDENCE),
        writes=(CREDIT_MONITOR_EVIDENCE, CREDIT_MONITOR_LEDGER, CREDIT_MONITOR_WINDOWS, CREDIT_MONITOR),
    ),
    Access("gateway", reads=(ANSWERS,), writes=(TRANSACTIONS,)),
    Access(
        "console",
        reads=(CASES, CASE_MUTES, SCORES, MONITOR, MONITOR_BUDGETS, AUDIT, APPROVALS, LISTS),
        writes=(CASE_ACTIONS, LISTS, AUDIT, APPROVALS),
    ),
    Access(
        "analyst",
        reads=(CASES, CASE_MUTES, MONITOR, MONITOR_BUDGETS, LISTS, APPROVALS),
        writes=(CASE_ACTIONS, LABELS, LISTS, APPROVALS),
    ),
    Access(
        "promotions",
        reads=(CONTROL_ANSWERS, CREDIT_CONTROL_ANSWERS),
        writes=(CONTROL, CREDIT_CONTROL),
        describes=(TRANSACTIONS, APPLICATIONS),
    ),
    Access(
        "operator",
        reads=(CONTROL, CONTROL_ANSWERS, MONITOR_BUDGETS, APPROVALS),
        writes=(CONTROL, APPROVALS),
        describes=(TRANSACTIONS,),
    ),
    Access(
        "credit-operator",
        reads=(CREDIT_CONTROL, CREDIT_CONTROL_ANSWERS, APPROVALS),
        writes=(CREDIT_CONTROL, APPROVALS),
        describes=(APPLICATIONS,),
    ),
    Access("unmasking", reads=(AUDIT,), writes=(AUDIT,)),
    Access("auditor", reads=(AUDIT, APPROVALS)),
    Access("autoscaler", lag_of=("scorer", (TRANSACTIONS, EVENTS, ENTITY_FEATURES))),
    Access("payment-producer", writes=(TRANSACTIONS,)),
    Access("label-producer", writes=(LABELS,)),
    Access("application-producer", writes=(APPLICATIONS,)),
    Access("credit-label-producer", writes=(CREDIT_LABELS,)),
    Access(
        "consumer",
        reads=(
            SCORES,
            ALERTS,
            DECISIONS,
            DEAD_LETTERS,
            SCORING_METRICS,
            CREDIT_SCORES,
            CREDIT_DECISIONS,
            CREDIT_SCORING_METRICS,
            CREDIT_MONITOR,
            CASES,
            MONITOR,
        ),
    ),
)
"""analyst: who decides cases. promotions: beside the console's, where it is to activate bundles and policies. operator: who
does that by commands. unmasking: beside another, who may use --unmasked
and --open. auditor: who checks what people did. autoscaler: KEDA. The producers: your systems that send payments, labels,
applications and what became of loans, a login each. consumer: those that read what was found."""

SOURCE_TOPIC_HEADER = "assay-source-topic"
SOURCE_PARTITION_HEADER = "assay-source-partition"
SOURCE_OFFSET_HEADER = "assay-source-offset"
"""On every output record: the input position it comes from, as ASCII. For `scoring-metrics` the last one counted."""

SOURCE_TIMESTAMP_HEADER = "assay-source-timestamp-ms"
"""Beside them, as ASCII: the input record's Kafka timestamp, from which latency counts. Missing where it was implausible.

The output record's own Kafka timestamp is the time of writing, from which its retention counts.
"""

REQUEST_HEADER = "assay-request"
"""On an input record: its sender waits for an answer, and calls the request so. On `answers` as well."""

CLIENT_HEADER = "assay-client"
"""On an input record that came through a gateway: who sent it, as the gateway knows its clients."""

SOURCE_SPEC_HEADER = "assay-source-spec"
"""On every record of `events`: the first 16 digits of the digest of the source spec that it was made by."""

ORIGIN_HEADER = "assay-origin"
"""On what is made of a record of `events`: where the user's own record lies, as topic-partition@offset."""

PROFILES_OFFSET_HEADER = "assay-profiles-offset"
"""On what the scorer writes about a payment: the records of `terminal-profiles` below this offset were known to it."""

LISTS_OFFSET_HEADER = "assay-lists-offset"
"""Beside it, where a policy reads lists: the records of `lists` below this offset were known to it."""

LISTS_PERSONS_HEADER = "assay-lists-persons"
"""Beside that, where entries count by the signatures of persons: the first 16 digits of the digest of whose, and how many."""


ENTITY_HEADER = "assay-entity"
"""On `entity-events`: the entity that is next. The source headers of both entity topics name the event's own record."""

ENTITY_LABEL_HEADER = "assay-entity-label"
"""On `entity-events`, where a record is what a label says of a payment of the entity: fraud, or legitimate."""

ENTITY_VALUES_HEADER = "assay-entity-values"
"""On both entity topics: 16 bytes that name the entities passed and their features; then the values, float32 little-endian."""


def position_headers(
    topic: str,
    partition: int,
    offsets: list[int],
    timestamps_ms: list[int],
    profiles_offset: int | None = None,
    lists_offset: int | None = None,
    lists_persons: str | None = None,
) -> list[list[tuple[str, bytes]]]:
    """Headers that tie output records to their input positions on one partition, one list a record.

    timestamps_ms: of the input records, plausible ones. profiles_offset, lists_offset: up to where these tables were known.
    lists_persons: by whose signatures entries of lists counted, where any had to sign.
    """
    where = (SOURCE_TOPIC_HEADER, topic.encode())
    number = (SOURCE_PARTITION_HEADER, b"%d" % partition)
    # of a batch many share a millisecond
    stamps = {ms: (SOURCE_TIMESTAMP_HEADER, b"%d" % ms) for ms in set(timestamps_ms)}
    rows = zip(offsets, timestamps_ms, strict=True)
    tables = ((PROFILES_OFFSET_HEADER, profiles_offset), (LISTS_OFFSET_HEADER, lists_offset))
    known = [(name, b"%d" % known) for name, known in tables if known is not None]
    if lists_offset is not None and lists_persons is not None:
        known.append((LISTS_PERSONS_HEADER, lists_persons.encode()))
    return [[where, number, (SOURCE_OFFSET_HEADER, b"%d" % offset), stamps[ms], *known] for offset, ms in rows]


def source_headers(topic: str, partition: int, offset: int, timestamp_ms: int | None) -> list[tuple[str, bytes]]:
    """The same for one record. timestamp_ms: None where it is implausible."""
    headers = position_headers(topic, partition, [offset], [timestamp_ms or 0])[0]
    return headers if timestamp_ms is not None else headers[:-1]


def source_timestamp_ms(headers: Iterable[tuple[str, bytes]]) -> int | None:
    """The input record's timestamp, in the headers of an output record; None where there is none."""
    return next((int(value) for name, value in headers if name == SOURCE_TIMESTAMP_HEADER), None)


def entity_named(headers: Mapping[str, bytes | None]) -> str:
    """The entity that is next; "" where none is named, as on `entity-features`."""
    return (headers.get(ENTITY_HEADER) or b"").decode(errors="replace")
