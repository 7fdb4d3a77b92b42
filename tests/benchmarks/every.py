"""Every benchmark of the machine, one after another and recorded, so that the pages' figures are of one run: `make bench`.

`python -m tests.benchmarks.every [--estimate] [NAME ...]`

All that need a broker share one, which is kept busy first: one that has just started compiles itself on the same cores
(`warm.py`). NAME: those alone, by the names of `PLAN`. --estimate: only how long each would take. What fails is said at the
end, and the others run all the same. Not in it: `console` (a million cases take a quarter of an hour), `rings` (no figure of
the machine), `swaps` (`make swaps`) and `models --device cuda`, which is for a machine with a card.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from services.broker.jars import kafka_version
from tests.benchmarks.latency import BROKER_WARM_S
from tests.benchmarks.warm import warm_broker
from tests.services.harness import ROOT

notes = Console(stderr=True, highlight=False)

Options = Mapping[str, float]

BROKER_S = 8.0
PROCESS_S = 6.0
"""From a process's start to its first record, and from its last to its end."""

FILL_PER_S = 25_000.0
"""By one producer of ours; the generator of the open loops does four times as many."""

SCORER_PER_S = 55_000.0
ENTITIES_PER_S = 15_000.0
FAUST_S, STREAMS_S, FLINK_S, QUIX_S = 6.0, 9.0, 12.0, 20.0
"""Of the peers' rounds in `throughput`, whose records are fixed."""

LOAD_S = 4.0
"""What an open loop takes beside its seconds: the generator's start, the warm seconds, the last scores."""

WARM_BROKER_S = 9.0
RATES = {"latency": 3, "answers": 3, "intake": 2, "monitor": 2}
POINTS = 22
"""Of `scale`."""


class Planned(NamedTuple):
    """One benchmark. options: all that its duration depends on. switches: passed as they are."""

    module: str
    options: Options
    switches: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """As it is run."""
        options = [part for name, value in self.options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        return [sys.executable, "-m", f"tests.benchmarks.{self.module}", "--record", *options, *self.switches]


PLAN = {
    "throughput": Planned("throughput", {"records": 400_000, "rounds": 3, "core_hour_price": 0.05}, ("--quix",)),
    "latency": Planned("latency", {"seconds": 8, "rounds": 3, "overload_seconds": 5}),
    "latency-slowest": Planned("latency", {"slowest": 100, "rate": 20_000, "seconds": 10}),
    "policy": Planned("policy", {"entries_each": 20_000, "seconds": 8, "records": 200_000, "rounds": 2}),
    "entities": Planned("entities", {"records": 50_000, "seconds": 6, "rounds": 2}),
    "entities-memory": Planned("entities", {"ids": 2_000_000}),
    "throughput-attributes": Planned("throughput", {"attributes": 30, "records": 200_000, "rounds": 2}),
    "full-state": Planned("throughput", {"cards": 250_000, "records": 200_000, "rounds": 1}),
    "intake": Planned("intake", {"seconds": 6, "records": 200_000, "rounds": 2}),
    "answers": Planned("answers", {"seconds": 10}),
    "observability": Planned("observability", {"records": 300_000, "rounds": 2}),
    "models": Planned("models", {"rounds": 2}),
    "features": Planned("features", {"records": 400_000, "rounds": 2}),
    "attributes": Planned("attributes", {"events": 100_000, "rounds": 2}),
    "reasons": Planned("reasons", {"records": 200_000, "rounds": 1}),
    "startup": Planned("startup", {"rounds": 3}),
    "monitor": Planned("monitor", {"seconds": 15, "rounds": 1}),
    "restart": Planned("restart", {"records": 1_000_000, "rounds": 1}),
    "scale": Planned("scale", {"records": 100_000, "rounds": 1}),
}
"""By the names of the pages' sections, in the order of what README claims: what is stopped early has those."""


ALONE = frozenset({"entities-memory", "models", "features", "attributes", "reasons"})
"""Those that need no broker."""


def seconds(name: str, given: Options) -> float:
    """How long a benchmark takes on two cores that do nothing else, about, by what it does one after another.

    All of them took 38 minutes on such a machine, and 54 on one at a third of its speed: some wait for a clock.
    """
    o = {"rounds": 1.0, "records": 0.0, "seconds": 0.0, **given}
    fill_s, drain_s, load_s = o["records"] / FILL_PER_S, PROCESS_S + o["records"] / SCORER_PER_S, o["seconds"] + LOAD_S
    loads_s = PROCESS_S + RATES.get(name, 1) * load_s
    match name:
        case "throughput":
            return (
                BROKER_S + fill_s + o["rounds"] * (3 * drain_s + FAUST_S + STREAMS_S + FLINK_S + QUIX_S + 4 * PROCESS_S)
            )
        case "throughput-attributes":  # made with more values, and a bundle is trained
            return 3 * fill_s + 20 + o["rounds"] * 2.5 * drain_s
        case "full-state":
            cards_s = 4 * o["cards"] * (1 / SCORER_PER_S + 1 / FILL_PER_S / 4)
            return o["rounds"] * (cards_s + 2 * (fill_s / 4 + drain_s + 20 + LOAD_S))
        case "latency":
            return WARM_BROKER_S + o["rounds"] * (4 * loads_s + o["overload_seconds"] + 20)
        case "latency-slowest":
            return WARM_BROKER_S + loads_s + 30  # the trace is read
        case "policy":
            lists_s = 10 * o["entries_each"] / FILL_PER_S
            return 20 + WARM_BROKER_S + 2 * lists_s + fill_s + o["rounds"] * 2 * (loads_s + drain_s)
        case "entities":  # 0, 1 and 3, ours and Kafka Streams
            return o["rounds"] * 3 * 2 * (2 * PROCESS_S + o["records"] / ENTITIES_PER_S + load_s)
        case "entities-memory":
            return 5 + o["ids"] / 200_000
        case "intake":
            return WARM_BROKER_S + o["rounds"] * 2 * (loads_s + 2) + fill_s + o["rounds"] * 3 * drain_s
        case "answers":
            return 2 * (2 * PROCESS_S + 10 + 3 * (load_s + 3)) + 3 * load_s
        case "observability":
            return fill_s + o["rounds"] * 3 * drain_s
        case "monitor":
            return o["rounds"] * 2 * (load_s + 1.5 * PROCESS_S)
        case "restart":
            return fill_s + 3 * drain_s + o["rounds"] * 12
        case "scale":
            return o["rounds"] * POINTS * (PROCESS_S + 2 + fill_s)
        case "startup":
            return o["rounds"] * 4
        case "models":
            return 10 + o["rounds"] * 25
        case "features" | "attributes" | "reasons":
            return 8 + o["rounds"] * 8
    raise KeyError(name)


def words(seconds_: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds_) // 60}:{int(seconds_) % 60:02d}"


def warm_s(names: list[str]) -> float:
    """Of the broker's work before the first: `throughput` keeps it busy for minutes before one looks at latencies."""
    return BROKER_WARM_S / 4 if names[0] == "throughput" else BROKER_WARM_S


def estimates(names: list[str]) -> dict[str, float]:
    """Seconds of each, and of what comes before them."""
    broker_s = {} if ALONE.issuperset(names) else {"broker": BROKER_S + warm_s(names)}
    return broker_s | {name: seconds(name, PLAN[name].options) for name in names}


def show(found: Mapping[str, float]) -> None:
    """How long each takes, about, and all of them."""
    table = Table("benchmark", "about, min:s", "as", title="One after another, recorded in docs/benchmarks.jsonl")
    for name, about_s in found.items():
        table.add_row(name, words(about_s), " ".join(PLAN[name].command[3:]) if name in PLAN else "started, kept busy")
    table.add_row("all", words(sum(found.values())), "")
    notes.print(table)


def run(names: list[str]) -> list[str]:
    """Run them; the names of those that failed."""
    failed, about = [], estimates(names)
    show(about)
    with brokered(names) as environment:
        for place, name in enumerate(names, 1):
            begun_s = time.monotonic()
            notes.print(f"{place} of {len(names)}: {name}, about {words(about[name])}")
            done = subprocess.run(PLAN[name].command, cwd=ROOT, env=environment, check=False).returncode
            said = "" if done == 0 else f", exit status {done}"
            notes.print(f"{name} took {words(time.monotonic() - begun_s)}{said}")
            if done != 0:
                failed.append(name)
    return failed


@contextmanager
def brokered(names: list[str]) -> Iterator[dict[str, str]]:
    """The environment of benchmarks that share a broker which is warm, where they need one and none is given."""
    if ALONE.issuperset(names) or os.environ.get("BENCH_BOOTSTRAP"):
        yield dict(os.environ)
        return
    notes.print(f"A broker is started for all of them, and kept busy for {words(warm_s(names))}.")
    with warm_broker(warm_s(names)) as bootstrap:
        yield {**os.environ, "BENCH_BOOTSTRAP": bootstrap, "BENCH_KAFKA": kafka_version()}


def main(arguments: list[str]) -> int:
    """Exit status: 1 where one failed, 2 where a name is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimate", action="store_true", help="only how long each would take")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PLAN))
    given = parser.parse_args(arguments)
    names = given.names or list(PLAN)
    if wrong := [name for name in names if name not in PLAN]:
        notes.print(f"every: {wrong[0]!r} is none of {', '.join(PLAN)}.")
        return 2
    if given.estimate:
        show(estimates(names))
        return 0
    failed = run(names)
    if failed:
        notes.print(f"failed: {', '.join(failed)}; what they say of it is above.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
