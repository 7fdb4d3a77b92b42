"""What comes in beside payments: records of any format, schemas, specs, policies, lists, samples. Part of `make fuzz`.

Each kind may refuse what it is given in its own words; whatever else it raises, or takes too long for, is a problem.
"""

import asyncio
import functools
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml
from aiokafka import TopicPartition

from models.discovery.guess import Answers, infer
from models.discovery.proposal import proposed_features
from models.discovery.sample import DiscoveryError, Record, Sample
from models.discovery.write import yaml_of
from models.features.spec_file import FeatureSpecError, parse_spec
from models.files.options import ReadOptions, TableError
from models.lists.lists import Lists
from models.policy.policy_file import PolicyError, compile_policy, parse_policy
from models.policy.program import Program, RulesError
from models.sources.spec_file import SourceSpecError, default_source, parse_source
from schemas import codec
from schemas.derived import Currencies
from schemas.export import AVRO_DIR, PROTOBUF_DIR
from schemas.lists import ListEntry
from schemas.policy import Policy, Rule
from schemas.privacy import PrivacyKey
from schemas.topics import (
    ANSWERS,
    CONVERTED,
    DEAD_LETTERS,
    ENTITY_EVENTS,
    ENTITY_HEADER,
    ENTITY_LABEL_HEADER,
    ENTITY_VALUES_HEADER,
    ORIGIN_HEADER,
    REQUEST_HEADER,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_SPEC_HEADER,
    SOURCE_TIMESTAMP_HEADER,
    SOURCE_TOPIC_HEADER,
    TRANSACTIONS,
)
from services.cli.people.list_entries import entry_of
from services.cli.people.list_file import read_entries
from services.converter.encoders import _avro, _protobuf
from services.converter.processor import Copied
from services.engine.dead_letters import DeadLetterWriter
from services.engine.duplicates import WindowLimits
from services.engine.faults import Fault
from services.engine.origin import Origins
from services.entities.chain import Chain, key_of
from services.entities.labels import is_verdict, verdict_of
from services.entities.routing import RoutingProcessor
from services.entities.stage import StageProcessor
from services.errors import AssayError
from services.formats import avro_schemas, protobuf_schemas
from services.gateway.events import EventReader, split
from services.gateway.problems import ProblemError
from services.observability.metrics import Metrics
from services.scorer.processor import Limits
from services.settings.processing import RuntimeSettings
from tests.models.policy.columns import COLUMNS, KNOWN, batch
from tests.services.documents import spoiled
from tests.services.entities.test_labels import spec_of_labels
from tests.services.formats.documents import Record as FormatRecord
from tests.services.formats.test_bombs import PROTO, TREE, mutated, readers
from tests.services.harness import BASE_TIME_MS, ROOT

SECONDS_MAX = 20.0
"""Of one input, on a machine that does other things, too."""

DOCUMENT_SHARE = 0.2
"""For each input, so many records of formats; of the other kinds in proportion to what one costs."""

YAML_TOKENS = (
    "!!bool x", "!!timestamp x", "!!int x", "!!binary x", "!foo x", "&a ", "*a", "? ", "<<: *a", "[[[[", "{a: ", "- ",
    "\t", "|\n",
    ">\n", "'", '"', "#", ": ", "\u0085", "\u2028", "\x00", "9" * 400, ".nan", "1e999", "~", "%TAG ! x\n---\n",
    "\n...\n", "x: *a\n",
)  # fmt: skip
SQL_TOKENS = (
    "(", ")", "CASE", "WHEN", "THEN", "ELSE", "END", "NOT", "AND", "OR", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE",
    "=", "<>",
    "<", ">=", "+", "-", "*", "/", "COALESCE(", "ABS(", "LIST('x')", ",", "::", "INT", "SELECT", "FROM", "[", "]", "{",
    "->", ".", "||",
    "CAST(", "INTERVAL", "'x%'", "'%'", "'", "--", "/*", ";", "1", "2.5", "1e308", "-0.0", "9" * 400, "'EUR'", "amount",
    "country",
    "word", "flag", "number", "home.latitude", "probability", "event.amount", "nobody", "event_time_ms", '"word"',
    "`word`", "é", "\x00",
)  # fmt: skip
NAMES = (
    "note\nrouted: true", "a\rb", "x\u2028y", "\u0085n", "\x7f", "\ufeffz", "a.b", "[x]", '"q"', "'s'", "{f}", "#c",
    "&a", "*b", "- d",
    ": v", "\U0001f4a9", "\x1b[2J", "\ud800", "", " ", "$", "is_fraud", "currency", "lat", "lon", "ip", "device",
)  # fmt: skip

BATCH_RECORDS = 20
EVENT = {"card_id": "c", "terminal_id": "terminal-1", "amount": 1.0}

CELLS = (1, "x\nformat: avro", None, True, [], {"a": {}}, 1e300, "2026-01-02", "1.5", "x" * 300)

Kind = Callable[[random.Random], bool]
"""One input; whether it was refused. What it raises is a problem."""


def bent(text: str, tokens: Sequence[str], draw: random.Random) -> str:
    """Cut, doubled, or with tokens put in; now and then as it was."""
    for _ in range(draw.choice((0, 1, 1, 1, 2, 4))):
        at, to = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
        match draw.randrange(4):
            case 0:
                text = text[:at] + text[min(to, at + 40) :]
            case 1:
                text = text[:at] + text[at : at + 200] + text[at:]
            case 2:
                text = text[:at] + draw.choice(tokens) + text[at:]
            case _:
                text = text[:at] + draw.choice(tokens) + text[min(to, at + 20) :]
    return text


@functools.cache
def _readers() -> list[tuple[Any, list[bytes]]]:
    return list(readers().values())


def document(draw: random.Random) -> bool:
    """A record in a format or an envelope: JSON, or one fault that is not ours."""
    reader, begun = draw.choice(_readers())
    payload = draw.choice(begun)
    if draw.random() < 0.9:
        payload = draw.randbytes(draw.randint(0, 60)) if draw.random() < 0.1 else mutated(payload, draw)
    found = reader.to_json(FormatRecord(payload))
    if isinstance(found, bytes):
        json.loads(found)
        assert len(found) <= reader.json_bytes_max, "a document is too large"
        return False
    assert not isinstance(found, Fault) or found.reason.value != "unscorable", f"a stage raises: {found}"
    return True


def avro_schema(draw: random.Random) -> bool:
    """A schema that anybody may have registered."""
    tokens = (
        '"null"',
        '"Tree"',
        "[",
        "{",
        "}",
        "]",
        ",",
        '"size":-1',
        '"type":',
        '"x"',
        "1e9",
        '"\\ud800"',
        '"fixed"',
        '"items":',
    )
    return _refused(avro_schemas.parse, bent(json.dumps(TREE), tokens, draw), codec.RejectedError)


def protobuf_schema(draw: random.Random) -> bool:
    """The same."""
    tokens = (
        "message ",
        "A",
        "{",
        "}",
        ";",
        "= 1",
        "map<",
        "enum E {",
        "oneof o {",
        '"',
        "/*",
        "99999999999",
        "group",
        "import ",
    )
    return _refused(protobuf_schemas.parse, bent(PROTO, tokens, draw), codec.RejectedError)


@functools.cache
def _specs() -> list[tuple[Callable[[str], Any], type[Exception], str]]:
    return [
        (parse_spec, FeatureSpecError, (ROOT / "deploy/features/rings.yaml").read_text()),
        (parse_source, SourceSpecError, (ROOT / "deploy/sources/rings.yaml").read_text()),
        (parse_source, SourceSpecError, (ROOT / "models/sources/transactions.yaml").read_text()),
        (_policy, PolicyError, POLICY),
    ]


POLICY = """
name: fraud
version: 3
lists: [blocked]
thresholds: {probability: 0.9}
rules:
  - {name: far, words: far away, owner: risk, action: review, condition: amount > 100 AND country IN ('DE', 'FR')}
  - name: listed
    words: on a list
    owner: risk
    action: decline
    condition: |
      device IN LIST('blocked')
      OR word LIKE 'a%'
"""


def _policy(text: str) -> None:
    compile_policy(parse_policy(text), KNOWN, text)


def spec(draw: random.Random) -> bool:
    """A feature spec, a source spec or a policy in YAML."""
    parse, error, text = draw.choice(_specs())
    return _refused(parse, bent(text, YAML_TOKENS, draw), error)


def _refused(parse: Callable[[Any], Any], content: Any, *errors: type[Exception]) -> bool:
    try:
        parse(content)
    except errors:
        return True
    return False


def condition(draw: random.Random) -> bool:
    """A rule: refused, or it says true or false of every event."""
    text = " ".join(draw.choice(SQL_TOKENS) for _ in range(draw.randint(1, 25)))
    if draw.random() < 0.6:  # something that may hold
        good = (
            "amount > 1",
            "word = 'x'",
            "flag",
            "number BETWEEN 1 AND 2",
            "word LIKE 'a%'",
            "ABS(number) < 2",
            "country IS NULL",
        )
        text = (
            " ".join(
                part
                for _ in range(draw.randint(1, 6))
                for part in (draw.choice(good), draw.choice(("AND", "OR", "AND NOT")))
            )
            .rpartition(" ")[0]
            .removesuffix(" AND")
        )
        text = bent(text, SQL_TOKENS, draw) if draw.random() < 0.7 else text
    try:
        rule = Rule(name="asked", words="-", condition=text[:4000] or "x", action="review", owner="-")
    except ValueError:
        return True
    try:
        program = Program(Policy(name="p", version=1, rules=(rule,)), KNOWN)
    except RulesError:
        return True
    words: list[str | None] = ["x", None, "abc"]
    given: dict[str, Any] = {name: words if "word" in name else np.array([1.0, np.nan, 1e308]) for name in COLUMNS}
    given |= {"counterparty": words, "country": words, "device": words, "subject": words}
    given |= {f"home.{side}": np.array([0.0, np.nan, 90.0]) for side in ("latitude", "longitude")}
    given["time"] = np.arange(3.0)
    held = program.held(batch(3, given))
    assert (held.shape, held.dtype) == ((1, 3), np.bool_), "a rule says neither true nor false"
    return False


VALUES = (
    "d-1", "10.0.0.0/8", "10.0.0.1/8", "::/0", "::ffff:1.2.3.4", "1..5", "5..1", "..", "1..", "nan..inf", "-inf..inf",
    "1e999..2", "", " ",
    "\x00", "a" * 300, "4111111111111111", "\ud800", "\u2028", "0..1e308", "999.1.1.1/99", "fe80::1%eth0/64", "1/2",
    "-0..0", "*", "=cmd",
)  # fmt: skip


def list_entry(draw: random.Random) -> bool:
    """An entry as commands make it, then asked by the table."""
    fields: dict[str, Any] = {
        "list_name": draw.choice(("blocked", "B", "", "x" * 100)),
        "field": draw.choice(("device", "*", "ip", "amount", "", "a b")),
        "value": draw.choice(VALUES),
        "purpose": draw.choice(("deny", "allow", "watch", "x")),
        "expires_at_ms": draw.choice((None, 0, -1, BASE_TIME_MS, 2**63, 1.5)),
        "reason": draw.choice(("", "x", "\x1b[2J", "y" * 5000)),
        "by": draw.choice(("me", "", "\n")),
        "source": "fuzz",
        "batch": draw.choice(("b", "")),
        "written_at_ms": BASE_TIME_MS,
    }
    if draw.random() < 0.7:
        fields |= {"list_name": "blocked", "field": draw.choice(("device", "ip", "amount", "*")), "purpose": "deny",
        "by": "me",
                   "reason": "", "batch": "b", "expires_at_ms": None}  # fmt: skip
    try:
        entry: ListEntry = entry_of(fields, draw.choice((None, "value", "network", "range")))
    except ValueError:
        return True
    lists, times = Lists(), np.full(4, BASE_TIME_MS, np.int64)
    lists.put(codec.read(ListEntry, codec.write(entry)))
    for column in ([entry.value, None, "10.1.2.3", "x\x00"], np.array([1.0, np.nan, np.inf, -0.0])):
        assert lists.contains(entry.list_name, entry.field, column, times).shape == (4,)
    lists.put(entry.model_copy(update={"removed": True}))
    return False


def list_file(draw: random.Random) -> bool:
    """A file for `assay lists import`."""
    good = "value,field,kind,reason\nd-1,device,value,seen\n10.0.0.0/8,ip,network,\n1..5,amount,range,x\n"
    text = bent(good, ("\n", ",", '"', "\r", "\x00", "\ufeff", "value", ";", "\t", *VALUES), draw)
    given = {"list_name": "blocked", "purpose": "deny", "expires_at_ms": None, "reason": "", "by": "me", "source": "f",
             "batch": "b", "written_at_ms": BASE_TIME_MS}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.csv")
        path.write_bytes(text.encode(errors="surrogatepass"))
        return _refused(lambda file: read_entries(file, [], given, None, ReadOptions()), path, AssayError, TableError)


def sample(draw: random.Random) -> bool:
    """Records of a topic that someone else writes: what is inferred of them is a spec of the fields named, and nothing else."""
    odd = draw.sample(NAMES, 3)
    rows = []
    for number in range(60):
        row: dict[str, Any] = {
            "id": f"e{number}", "ts": BASE_TIME_MS + number * 60_000, "card": f"c{draw.randrange(9)}",
            "amount": round(draw.uniform(1, 90), 2), "type": draw.choice(("auth\nevil: 1", "note")),
            **{name: draw.choice(CELLS) for name in odd},
        }  # fmt: skip
        payload = json.dumps(row).encode()
        rows.append(Record(mutated(payload, draw) if draw.random() < 0.1 else payload, f"line {number}"))
    try:
        draft = infer(Sample("payments.jsonl", rows), Answers())
    except DiscoveryError:
        return True
    text = yaml_of(draft)
    known = {"version", "topic", "format", "envelope", "select", "event", "attributes", "routed"}
    if draft.questions:
        return True
    found = yaml.safe_load(text)
    assert found.keys() <= known, f"the sample wrote {found.keys() - known} into the spec"
    assert (found["topic"], found["format"]) == ("payments", "json"), "the sample changed the spec"
    assert list(found["attributes"] or {}) == list(draft.attributes), "the sample changed the attributes"
    made = parse_source(text)
    parse_spec(proposed_features(made, {}, Currencies(only="EUR")))
    return False


HEADERS: tuple[tuple[str, bytes | None], ...] = (
    (SOURCE_PARTITION_HEADER, b"1"), (SOURCE_PARTITION_HEADER, b"99999999999999999999"), (SOURCE_PARTITION_HEADER, b"-1"),
    (SOURCE_PARTITION_HEADER, None), (SOURCE_OFFSET_HEADER, b"\xff"), (SOURCE_TOPIC_HEADER, None),
    (SOURCE_TIMESTAMP_HEADER, b"9" * 14),
    (SOURCE_TIMESTAMP_HEADER, "\u0661".encode()), (SOURCE_SPEC_HEADER, b"x" * 1000), (ORIGIN_HEADER, b"a-1@2"),
    (ENTITY_HEADER, b"merchant"),
    (ENTITY_HEADER, b"corridor"), (ENTITY_HEADER, b"\xff\xfe"), (ENTITY_HEADER, None), (ENTITY_VALUES_HEADER, b"x" * 16),
    (ENTITY_VALUES_HEADER, b""), (ENTITY_VALUES_HEADER, None), (ENTITY_LABEL_HEADER, b"fraud"), (ENTITY_LABEL_HEADER, None),
    (REQUEST_HEADER, b"a:1"), (REQUEST_HEADER, None), ("", b""), ("traceparent", None),
)  # fmt: skip


@functools.cache
def _entities() -> tuple[Chain, Limits]:
    runtime = RuntimeSettings()
    limits = Limits(runtime.message_bytes_max, runtime.event_ahead_ms_max, WindowLimits(100), 100)
    return Chain(spec_of_labels(), None, "", 50), limits


def entity_batch(draw: random.Random) -> bool:
    """The source's, or `entity-events` with headers of anyone's: each record is an event onward, or one dead letter; or, where
    it has the form of a verdict, folded.
    """
    chain, limits = _entities()
    routing = draw.random() < 0.5
    topic, made = (TRANSACTIONS, RoutingProcessor) if routing else (ENTITY_EVENTS, StageProcessor)
    letters, metrics = DeadLetterWriter(PrivacyKey("fuzz", b"k"), Origins.of([topic], "")), Metrics(by_topic=True)
    processor = made(TopicPartition(topic.name, 0), "", chain, limits, letters, metrics)
    records = []
    for offset in range(BATCH_RECORDS):
        headers, name = draw.sample(HEADERS, draw.randrange(6)), draw.choice(chain.stages)
        value = spoiled(TRANSACTIONS.schema, draw)
        key = draw.choice((key_of(name, "terminal-1").encode(), None, b"", b"\xff"))
        if draw.random() < 0.1:
            value = draw.choice((b"1 fraud c", b"9" * 30 + b" fraud c", b"-1 legitimate \xff", b"0 legitimate "))
            headers = [
                (ENTITY_HEADER, name.encode()),
                (ENTITY_LABEL_HEADER, b""),
                (SOURCE_PARTITION_HEADER, b"0"),
                *headers,
            ]
        elif draw.random() < 0.3:
            value = json.dumps(
                {**EVENT, "transaction_id": f"t{offset}", "event_time_ms": BASE_TIME_MS + offset}
            ).encode()
            headers += [(ENTITY_HEADER, name.encode()), (SOURCE_PARTITION_HEADER, b"0")]
        records.append(
            SimpleNamespace(
                topic=topic.name,
                partition=0,
                offset=offset,
                key=key,
                value=value,
                timestamp=BASE_TIME_MS,
                headers=headers,
            )
        )
    result = asyncio.run(processor.process(records))
    folded = 0 if routing else sum(is_verdict(record) and verdict_of(record) is not None for record in records)
    sent = sum(len(write.values) for write in result.writes if write.topic != ANSWERS.name)
    assert BATCH_RECORDS - folded <= sent <= BATCH_RECORDS, (
        f"{sent} outputs of {BATCH_RECORDS} records, {folded} verdicts"
    )
    for write in result.writes:
        assert len(write.values) == sum(len(part.values) for _, part in write.by_partition(0, 3))
    return any(write.topic == DEAD_LETTERS.name and write.values for write in result.writes)


@functools.cache
def _copies() -> list[tuple[Any, Copied]]:
    found = []
    for topic in CONVERTED:
        for path, made in ((AVRO_DIR / f"{topic.name}.avsc", _avro), (PROTOBUF_DIR / f"{topic.name}.proto", _protobuf)):
            found.append((topic, Copied(topic, "copy", made(path.read_text(encoding="utf-8")))))
    return found


def converted(draw: random.Random) -> bool:
    """A message of a topic that is copied: whatever is one can be written in the other format."""
    topic, copied = draw.choice(_copies())
    return _refused(copied.converted, spoiled(topic.schema, draw) or b"", codec.RejectedError)


@functools.cache
def _gateway() -> EventReader:
    return EventReader(default_source(), RuntimeSettings(), 3, lambda: BASE_TIME_MS)


def asked(draw: random.Random) -> bool:
    """The body of a request to a gateway: an event, a list of them, or a problem."""
    body = spoiled(TRANSACTIONS.schema, draw) or b""
    if draw.random() < 0.3:
        body = json.dumps({**EVENT, "transaction_id": "t", "event_time_ms": BASE_TIME_MS}).encode()
        body = mutated(body, draw) if draw.random() < 0.3 else body
    if draw.random() < 0.4:
        body = b"[" + b",".join(spoiled(TRANSACTIONS.schema, draw) or b"" for _ in range(draw.randrange(4))) + b"]"

    def read(content: bytes) -> None:
        for payload in split(content, 3) or (content,):
            _gateway().read(payload, "client")

    return _refused(read, body, ProblemError)


KINDS: dict[str, tuple[Kind, float]] = {
    "document": (document, 1.0),
    "asked": (asked, 0.5),
    "converted": (converted, 0.2),
    "list_entry": (list_entry, 0.2),
    "condition": (condition, 0.1),
    "avro_schema": (avro_schema, 0.1),
    "entity_batch": (entity_batch, 0.004),
    "protobuf_schema": (protobuf_schema, 0.02),
    "spec": (spec, 0.01),
    "list_file": (list_file, 0.01),
    "sample": (sample, 0.005),
}
"""And how many of each for one document."""


def fuzz_edges(documents: int, draw: random.Random) -> tuple[Counter[str], Counter[str], list[str]]:
    """Inputs by kind, how many of them were refused, and what was wrong."""
    given, refused, problems = Counter[str](), Counter[str](), list[str]()
    for name, (kind, share) in KINDS.items():
        for number in range(max(1, int(documents * share))):
            started_s = time.process_time()
            try:
                refused[name] += kind(draw)
            except Exception as error:
                problems.append(f"{name} {number}: {type(error).__name__} {str(error)[:300]}")
            given[name] += 1
            if (took_s := time.process_time() - started_s) > SECONDS_MAX:
                problems.append(f"{name} {number}: it took {took_s:.0f} s")
    return given, refused, problems
