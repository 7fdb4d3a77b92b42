"""`make fuzz INPUTS=1000000`: spoiled payments through the processor, records of every topic, specs and graphs too.

Each input must come out as one score or one dead letter, and no text of it may be in a dead letter or a log. The inputs are
drawn in shards, each by a seed of its own, so that a seed gives the same inputs in any number of processes. Each finished
shard is a line on stderr; the last line, on stdout, is JSON.
"""

import asyncio
import json
import logging
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import structlog
import typer

from models.bundle.graph import GraphError, check_graph
from models.features.spec_file import FeatureSpecError, parse_spec
from schemas.topics import DEAD_LETTERS, SCORES, SOURCE_OFFSET_HEADER, TOPICS
from services.engine.duplicates import WindowLimits
from tests.chaos.fuzz_batches import TIMESTAMPS_MS, fuzz_batches
from tests.chaos.fuzz_edges import DOCUMENT_SHARE, fuzz_edges
from tests.chaos.fuzz_readers import fuzz_readers
from tests.models.bundle import graphs
from tests.services.documents import SECRET
from tests.services.engine.fakes import FakeKafka
from tests.services.engine.model import processor
from tests.services.harness import BASE_TIME_MS, ROOT

CARD_NUMBER = "4111111111111111"

SHARD_INPUTS = 20_000
"""About half a minute of one core."""

BATCH_RECORDS = 500
BATCH_SHARE = 0.2
"""Spoiled record batches for each input."""
RECORDS = len(TOPICS)
"""Records for each input: one of every topic, in turn."""
GRAPH_SHARE = 1.0
"""Graphs for each input, each read by the walker, and by `onnx` where the walker accepts it."""

SPEC_SHARE = 0.002
"""Specs for each input: reading one costs a hundred times as much."""

TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"0.0",
    b"99999999999999999999", b'"\\ud800"', b"\\u0000", b"\x00", b"\xff", b"\xef\xbb\xbf", b" ", b"\n", b'"s3cret":"s3cret"',
    CARD_NUMBER.encode(), b"[" * 150, b'{"a":' * 120, b"\xed\xa0\x80", b"1.7976931348623157e308", b"5e-324", b"/*", b"'",
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, "", SECRET, SECRET * 20, [], {}, [SECRET], {SECRET: SECRET}, 2**63, -(2**63), 1.5, "\u0000",
    CARD_NUMBER, "4111-1111 1111s1111", "\uff44\uff11\uff11", "\U0001f4a9", BASE_TIME_MS, 4_102_444_800_001,
)  # fmt: skip


def payment(draw: random.Random) -> dict[str, Any]:
    """A good one, with the secret in every text."""
    return {
        "transaction_id": f"{SECRET}-{draw.randrange(1 << 40)}",
        "event_time_ms": BASE_TIME_MS + draw.randrange(1 << 36),
        "card_id": f"{SECRET}-{draw.randrange(500)}",
        "terminal_id": f"{SECRET}-{draw.randrange(50)}",
        "amount": round(draw.uniform(0, 1000), 2),
        "currency": "EUR",
        f"{SECRET}-field": SECRET,
    }


def spoiled(draw: random.Random) -> bytes | None:
    """One input: a payment with a few things done to it; sometimes nothing, sometimes mere bytes."""
    kind = draw.random()
    if kind < 0.02:
        return draw.choice([None, b"", draw.randbytes(draw.randrange(200))])
    fields = payment(draw)
    if kind < 0.4:
        for _ in range(draw.randint(1, 2)):
            name = draw.choice(list(fields) or [SECRET])
            if draw.random() < 0.3:
                fields.pop(name, None)
            else:
                fields[name] = draw.choice(VALUES)
    payload = json.dumps(fields, ensure_ascii=draw.random() < 0.5, separators=draw.choice([None, (",", ":")])).encode(
        errors="surrogatepass"
    )
    return _bent(payload, draw) if draw.random() < 0.4 else payload


def _bent(payload: bytes, draw: random.Random) -> bytes:
    """Bytes changed, cut, put in twice, or put in from TOKENS."""
    content = bytearray(payload)
    for _ in range(draw.randint(1, 3)):
        at, to = sorted((draw.randint(0, len(content)), draw.randint(0, len(content))))
        match draw.randrange(5):
            case 0 if content:
                content[min(at, len(content) - 1)] ^= 1 << draw.randrange(8)
            case 1:
                del content[at:to]
            case 2:
                content[at:at] = content[at:to]
            case 3:
                content[at:at] = draw.choice(TOKENS)
            case _:
                content[at:to] = draw.choice(TOKENS)
    return bytes(content)


@dataclass
class Findings:
    """What came out."""

    inputs: int = 0
    scores: int = 0
    dead_letters: int = 0
    batches: int = 0
    records: int = 0
    records_refused: int = 0
    graphs: int = 0
    graphs_accepted: int = 0
    specs: int = 0
    specs_refused: int = 0
    edges: Counter[str] = field(default_factory=Counter)
    edges_refused: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Those of another shard."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Listener(logging.Handler):
    """Keeps what was logged of the inputs' texts."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One line more."""
        if SECRET in (line := record.getMessage()):
            self.lines.append(line)


@contextmanager
def listening() -> Iterator[Listener]:
    """Everything that is logged goes to the listener: by the library and by our own code."""
    listener, root, ours = Listener(), logging.getLogger(), structlog.get_config()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.stdlib.LoggerFactory()
    )
    try:
        yield listener
    finally:
        structlog.configure(**ours)
        root.removeHandler(listener)
        root.setLevel(level)


def fuzz(inputs: int, seed: int) -> Findings:
    """Put `inputs` through a processor; batches through the client library, and specs through their reader."""
    draw, findings = random.Random(seed), Findings()
    with listening() as listener:
        asyncio.run(_fuzz_payments(inputs, draw, findings))
        findings.batches = int(inputs * BATCH_SHARE)
        findings.problems += fuzz_batches(findings.batches, draw)
        findings.records = inputs * RECORDS
        findings.records_refused, problems = fuzz_readers(findings.records, draw)
        findings.problems += problems
        for _ in range(int(inputs * GRAPH_SHARE)):
            _walk_graph(graphs.spoiled(draw), findings)
        findings.edges, findings.edges_refused, problems = fuzz_edges(int(inputs * DOCUMENT_SHARE), draw)
        findings.problems += problems
        for text in _specs(int(inputs * SPEC_SHARE), draw):
            _read_spec(text, findings)
    findings.problems += [f"logged: {line[:200]}" for line in listener.lines]
    return findings


async def _fuzz_payments(inputs: int, draw: random.Random, findings: Findings) -> None:
    worked = processor(cards_max=1000, duplicates=WindowLimits(1000))
    for start in range(0, inputs, BATCH_RECORDS):
        kafka = FakeKafka()
        for offset in range(start, min(start + BATCH_RECORDS, inputs)):
            kafka.append(spoiled(draw), offset, draw.choice(TIMESTAMPS_MS) if draw.random() < 0.05 else None)
        try:
            result = await worked.process(kafka.log)
        except Exception as error:
            findings.problems.append(f"inputs {start} to {start + BATCH_RECORDS} stopped the partition: {error!r}")
            return
        answered: Counter[int] = Counter()
        for write in result.writes:
            for value, headers in zip(write.values, write.headers, strict=True):
                if write.topic in (SCORES.name, DEAD_LETTERS.name):
                    answered[int(dict(headers)[SOURCE_OFFSET_HEADER])] += 1
                if write.topic == DEAD_LETTERS.name:
                    findings.reasons[json.loads(value)["reason"]] += 1
                    if SECRET.encode() in value or CARD_NUMBER.encode() in value:
                        findings.problems.append(f"a dead letter tells: {value[:200]!r}")
                findings.scores += write.topic == SCORES.name
        findings.inputs += len(kafka.log)
        if answered != Counter(record.offset for record in kafka.log):
            findings.problems.append(f"inputs from {start} on were not answered once each")
    findings.dead_letters = findings.reasons.total()


def _walk_graph(content: bytes, findings: Findings) -> None:
    findings.graphs += 1
    try:
        walked = check_graph(content, graphs.FEATURES)
    except GraphError:
        return
    except Exception as error:
        findings.problems.append(f"a graph was not refused in a sentence: {error!r}: {content.hex()[:200]}")
        return
    findings.graphs_accepted += 1
    if found := graphs.disagreement(content, walked):
        findings.problems.append(f"a graph reads otherwise: {found[:200]}: {content.hex()[:200]}")


def _specs(number: int, draw: random.Random) -> Iterator[str]:
    good = (ROOT / "deploy/features/fraud.yaml").read_bytes()
    for _ in range(number):
        yield _bent(good, draw).decode(errors="replace")


def _read_spec(text: str, findings: Findings) -> None:
    findings.specs += 1
    try:
        parse_spec(text)
    except FeatureSpecError:
        findings.specs_refused += 1
    except Exception as error:
        findings.problems.append(f"a spec was not refused in a sentence: {error!r}: {text[:200]!r}")


def shards(inputs: int, seed: int) -> list[tuple[int, int]]:
    """How many inputs each has, and the seed that draws them."""
    sizes = [min(SHARD_INPUTS, inputs - start) for start in range(0, inputs, SHARD_INPUTS)]
    return [(size, seed * 1_000_000 + place) for place, size in enumerate(sizes)]


def fuzz_all(inputs: int, seed: int, processes: int) -> Findings:
    """Every shard, in so many processes."""
    total, todo, begun_s = Findings(), shards(inputs, seed), time.monotonic()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(fuzz, *shard) for shard in todo]):
            total.add(done.result())
            took_s = time.monotonic() - begun_s
            print(
                f"{total.inputs} of {inputs}, {len(total.problems)} problems, {took_s:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return total


def main(
    inputs: Annotated[int, typer.Option(min=1, help="How many payloads, and records of each topic.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same inputs.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="One a core.")] = os.cpu_count() or 1,
) -> None:
    """Fuzz the way of a payload and the reader of specs. Exits with 1 on any problem.

    Example: python -m tests.chaos.fuzz --inputs 100000 --seed 3
    """
    begun_s = time.monotonic()
    findings = fuzz_all(inputs, seed, processes)
    for problem in findings.problems[:20]:
        print(problem)
    counts = {name: value for name, value in vars(findings).items() if name not in ("problems", "reasons")}
    print(
        json.dumps(
            {
                "seed": seed,
                **counts,
                "reasons": dict(sorted(findings.reasons.items())),
                "problems": len(findings.problems),
                "seconds": round(time.monotonic() - begun_s, 1),
            }
        )
    )
    raise typer.Exit(bool(findings.problems))


if __name__ == "__main__":
    typer.run(main)
