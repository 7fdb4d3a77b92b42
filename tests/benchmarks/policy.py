"""What a policy costs: rules and lists evaluated on batches alone, then a scorer with a policy and without, in turn.

`python -m tests.benchmarks.policy [--json] [--record] [--rules N] [--lists N] [--entries-each N] [--rate N] [--seconds S]
[--records N] [--rounds N] [--stages-only]`

The policy has rules of three conditions each on fields, features and scores, every tenth of them on a list; the demo's bundle
scores. Latency is from due to committed score at one rate, an open loop; throughput works off a full topic. --stages-only
leaves the scorers out.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.bundle.load import load_bundle
from models.bundle.trust import ANYBODY
from models.lists.lists import Lists
from models.policy.program import Batch, Program
from models.policy.signed import signed, write_policy
from models.sources.parser import EventParser
from models.sources.spec_file import default_source
from schemas import codec
from schemas.lists import ListEntry, entry_key
from schemas.policy import Policy, Rule
from schemas.topics import LISTS, SCORES
from services.kafka.client import plain_producer
from services.settings.processing import RuntimeSettings
from services.trusted_policies import known_to
from tests.benchmarks import command, throughput
from tests.benchmarks.latency import Loads, assay, of_limit, prepare, rated, warm_up_s
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.services.harness import ROOT, SESSION, Stream

BATCHES = (20, 50, 500, 2_000)
ROUNDS_OF_BATCH = 200
LIBRARIES = ("aiokafka", "numpy", "onnxruntime", "sqlglot", "uvloop")
BUNDLE = ROOT / "deploy" / "bundles" / "fraud"
FEATURES = (
    "card_count_10m",
    "card_count_24h",
    "card_mean_amount_7d",
    "card_amount_ratio_30d",
    "hour",
    "seconds_since_last",
)


def policy_of(rules: int, lists: int) -> Policy:
    """Rules of three conditions each. Of the loads here some hold of less than one payment in a hundred, as a team's do:

    rules that hold of every fifth would measure what alerts cost.
    """
    draw, made = random.Random(7), []
    names = tuple(f"list-{number}" for number in range(lists))
    for number in range(rules):
        parts = [f"amount > {draw.randint(50, 2_000)}", f"{draw.choice(FEATURES)} >= {draw.uniform(1, 50):.2f}"]
        last = [
            f"probability > 0.{draw.randint(2, 9)}",
            f"terminal_id IN ('terminal-{draw.randint(0, 999):05d}', 'terminal-{draw.randint(0, 999):05d}')",
            f"NOT (country IN ('DE', '{draw.choice(['FR', 'NL', 'PL'])}'))",
        ]
        parts.append(f"card_id IN LIST('{draw.choice(names)}')" if names and number % 10 == 0 else draw.choice(last))
        action = draw.choice(["challenge", "review", "decline"])
        condition = " AND ".join(parts)
        rule = {
            "name": f"rule_{number}",
            "words": "a rule",
            "condition": condition,
            "action": action,
            "owner": "a bench",
        }
        made.append(Rule.model_validate(rule))
    return Policy(name="bench", version=1, lists=names, rules=tuple(made))


def entries(lists: int, each: int) -> list[ListEntry]:
    """Values that no payment has."""
    return [
        ListEntry(list_name=f"list-{name}", field="card_id", kind="value", value=f"listed-{name}-{number}")
        for name in range(lists)
        for number in range(each)
    ]


def stages(policy: Policy, held: Lists) -> dict[str, Any]:
    """ms to compile the policy, and ms a batch of each size: the median of many."""
    bundle = load_bundle(BUNDLE, ANYBODY)
    begun_s = time.perf_counter()
    program = Program(policy, known_to(bundle))
    found: dict[str, Any] = {"compile_ms": round((time.perf_counter() - begun_s) * 1e3, 1)}
    parser, width = EventParser(default_source()), len(bundle.manifest.feature_spec.names)
    draw = np.random.default_rng(7)
    for rows in BATCHES:
        payloads = [_payment(row, float(amount)) for row, amount in enumerate(draw.exponential(60.0, rows))]
        features = draw.exponential(5.0, (rows, width)).astype(np.float32)
        scores, none = draw.random((2, rows), np.float32), np.zeros(rows, np.bool_)
        found[f"batch_{rows}_ms"] = _median_ms(program, parser, payloads, features, scores, none, held)
    return found


def _median_ms(
    program: Program,
    parser: EventParser,
    payloads: Sequence[bytes],
    features: NDArray[np.float32],
    scores: NDArray[np.float32],
    none: NDArray[np.bool_],
    held: Lists,
) -> float:
    taken = []
    for _ in range(ROUNDS_OF_BATCH):
        events = parser.batch(payloads)  # so that no column is there already, but those that every batch makes
        assert events is not None
        made = events.ids, events.subjects, events.time_ms, events.amount, events.counterparties
        assert all(len(column) == len(payloads) for column in made)
        begun_s = time.perf_counter()
        program.rule(Batch(events, features, scores[0] * 0.5, scores[1], held), none, none)
        taken.append((time.perf_counter() - begun_s) * 1e3)
    return round(statistics.median(taken), 3)


def _payment(row: int, amount: float) -> bytes:
    return (
        b'{"transaction_id":"t-%d","event_time_ms":%d,"card_id":"card-%08d","terminal_id":"terminal-%05d","amount":%.2f}'
        % (row, 1_767_225_600_000 + row, row, row % 5_000, amount)
    )


async def fill_lists(stream: Stream, wanted: Sequence[ListEntry]) -> None:
    """Every entry on `lists`."""
    producer = plain_producer(stream.kafka, RuntimeSettings(), linger_ms=20)
    await producer.start()
    for entry in wanted:
        await producer.send(stream.prefix + LISTS.name, codec.write(entry), key=entry_key(entry))
    await producer.stop()


def measure(
    rules: int = 100,
    lists: int = 10,
    entries_each: int = 100_000,
    rate: int = 20_000,
    seconds: float = 10.0,
    records: int = 400_000,
    rounds: int = 3,
    stages_only: bool = False,
) -> dict[str, Any]:
    """The stages, then both scorers in turn."""
    policy, held, wanted = policy_of(rules, lists), Lists(), entries(lists, entries_each)
    held.put_values(wanted)
    result: dict[str, Any] = {"rules": rules, "lists": lists, "entries": len(wanted), **stages(policy, held)}
    if not stages_only:
        with tempfile.TemporaryDirectory() as directory, broker() as bootstrap:
            file = Path(directory) / "bench.policy"
            write_policy(file, signed(policy, None))
            settings = {"ASSAY_POLICY": str(file), "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true"}
            result |= latencies(bootstrap, settings, wanted, rate, seconds, rounds)
            result |= throughputs(bootstrap, settings, wanted, records, rounds)
    return {**result, **surroundings(LIBRARIES)}


def latencies(
    bootstrap: str, settings: dict[str, str], wanted: Sequence[ListEntry], rate: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """p99 in ms with the policy and without, medians of the rounds."""
    with place(bootstrap) as stream:
        asyncio.run(prepare(stream))
        asyncio.run(fill_lists(stream, wanted))
        loads = Loads(stream)
        of_limit(stream, loads, (rate,), warm_up_s())

        def run(environment: dict[str, str]) -> float:
            stream.environment = SESSION | environment
            runs = assay(stream, "exactly_once", lambda pid: rated(stream, loads, SCORES.name, (rate,), seconds, pid))
            return float(runs[rate]["p99_ms"])

        found = interleaved({"with": lambda: run(settings), "without": lambda: run({})}, rounds)
    return {
        "rate": rate,
        "p99_ms": round(statistics.median(found["with"]), 1),
        "p99_ms_without": round(statistics.median(found["without"]), 1),
        "p99_rounds": found,
    }


def throughputs(
    bootstrap: str, settings: dict[str, str], wanted: Sequence[ListEntry], records: int, rounds: int
) -> dict[str, Any]:
    """Records a second with the policy and without."""
    with place(bootstrap) as stream:
        asyncio.run(throughput.fill(stream, records))
        asyncio.run(fill_lists(stream, wanted))
        ways = {
            "with": lambda: throughput.assay(stream, records, **settings),
            "without": lambda: throughput.assay(stream, records),
        }
        found = interleaved(ways, rounds)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {
        "records": records,
        "records_per_s": round(medians["with"]),
        "records_per_s_without": round(medians["without"]),
        "throughput_rounds": {name: [round(value) for value in values] for name, values in found.items()},
    }


def show(result: dict[str, Any]) -> None:
    """The tables for people."""
    table = Table("rows", "ms", title=f"{result['rules']} rules, {result['entries']:,} list entries: a batch")
    for rows in BATCHES:
        table.add_row(f"{rows:,}", f"{result[f'batch_{rows}_ms']:.3f}")
    console = Console()
    console.print(table)
    console.print(f"compiled in {result['compile_ms']:,} ms")
    if "p99_ms" in result:
        console.print(f"p99 at {result['rate']:,}/s: {result['p99_ms']} ms, without {result['p99_ms_without']} ms")
        console.print(f"records/s: {result['records_per_s']:,}, without {result['records_per_s_without']:,}")


if __name__ == "__main__":
    command.run(
        "policy",
        __doc__,
        measure,
        show,
        rules=100,
        lists=10,
        entries_each=100_000,
        rate=20_000,
        seconds=10.0,
        records=400_000,
        rounds=3,
        stages_only=False,
    )
