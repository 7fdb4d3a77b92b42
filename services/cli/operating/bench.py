"""`assay bench`: runs the benchmarks of a source checkout."""

import subprocess
import sys
from pathlib import Path

import typer

ABOUT = "Benchmarks, run from a source checkout. --record keeps a result in docs/benchmarks.jsonl and makes docs/*.md of it."
app = typer.Typer(help=ABOUT, no_args_is_help=True)

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
ROOT = Path(__file__).parents[3]


@app.callback()
def bench() -> None:
    """Benchmarks, run from a source checkout; --record keeps a result in docs/benchmarks.jsonl and makes docs/*.md of it."""


@app.command(name="all", context_settings=PASSED_ON, epilog="Example: assay bench all --estimate")
def every(context: typer.Context) -> None:
    """Every benchmark of this machine, one after another and recorded, as `make bench` does; or those that are named.

    With --estimate: only how long each would take.
    """
    _run("every", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench throughput --json")
def throughput(context: typer.Context) -> None:
    """Records a second against a lean baseline loop and a Faust peer, side by side. Options go to the benchmark (--json).

    With --attributes 30: against itself on the same payments with 30 attributes, each read by its model. With --cards 250000:
    against itself with so many cards known in each partition, and snapshots; throughput, latency and memory. With --quix:
    an environment for Quix Streams is made, if there is none; with one, it is a peer. With --core-hour-price 0.05: what a
    million payments cost.
    """
    _run("throughput", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench latency --rate 20000 --seconds 10 --json")
def latency(context: typer.Context) -> None:
    """From due to committed score at steady rates and in overload, beside a baseline. Options go to the benchmark (--rate).

    With --slowest 100: where the slowest hundred payments of one run at one rate were, part by part of their way.
    """
    _run("latency", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench intake --rate 2000 --json")
def intake(context: typer.Context) -> None:
    """What the routed way adds to the latency, and records a second of intake alone. Options go to the benchmark (--rate)."""
    _run("intake", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench scale --quick --json")
def scale(context: typer.Context) -> None:
    """By partitions, processes, cards, alerts and bytes: throughput, processor time, memory. Options go to the benchmark."""
    _run("scale", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench models --device cuda --json")
def models(context: typer.Context) -> None:
    """Rows a second of the reference network and of wider ones, beside the device's bound. Options go to the benchmark."""
    _run("models", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench startup --json")
def startup(context: typer.Context) -> None:
    """From a scorer's start to ready, and how much of it is imports. Options go to the benchmark."""
    _run("startup", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench features --json")
def features(context: typer.Context) -> None:
    """Cost of the features of an event, beside pandas, Polars and river, and its growth. Options go to the benchmark."""
    _run("features", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench attributes --json")
def attributes(context: typer.Context) -> None:
    """Cost of decoding and folding an event with 30 attributes, and of each kind of history. Options go to the benchmark."""
    _run("attributes", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench reasons --json")
def reasons(context: typer.Context) -> None:
    """Cost of the reasons of an alert, and how often fewer coalitions name the same ones. Options go to the benchmark."""
    _run("reasons", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench restart --json")
def restart(context: typer.Context) -> None:
    """From a scorer's start to its first score with a million cards known. Options go to the benchmark."""
    _run("restart", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench monitor --json")
def monitor(context: typer.Context) -> None:
    """What the monitor reads and costs at a rate and at ten times it. Options go to the benchmark (--rate)."""
    _run("monitor", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench observability --json")
def observability(context: typer.Context) -> None:
    """Throughput with metrics, logs and traces on beside everything off. Options go to the benchmark (--json)."""
    _run("observability", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench policy --rules 100 --json")
def policy(context: typer.Context) -> None:
    """What rules and lists cost: a batch alone, then a scorer's throughput and p99 with a policy and without."""
    _run("policy", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench swaps --minutes 10 --json")
def swaps(context: typer.Context) -> None:
    """A model swap every 2 s under load: latency beside calm, memory, verification. Options go to the benchmark."""
    _run("swaps", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench answers --rate 1000 --seconds 20 --json")
def answers(context: typer.Context) -> None:
    """From due to answered over HTTP, beside the stream's latency and a plain service without a log. Options: --rate ..."""
    _run("answers", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench entities --rounds 1 --json")
def entities(context: typer.Context) -> None:
    """Throughput and committed latency with 0, 1 and 3 entities, beside the same work in Kafka Streams. Options: --rate ..."""
    _run("entities", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench rings --rounds 1 --json")
def rings(context: typer.Context) -> None:
    """Average precision of each kind of fraud with the features of entities and without, trained on simulated rings."""
    _run("rings", context.args)


@app.command(context_settings=PASSED_ON, epilog="Example: assay bench console --cases 100000 --json")
def console(context: typer.Context) -> None:
    """A million cases: the console's database made of the log, then p95 of queue, search and case. Options: --cases ..."""
    _run("console", context.args)


def _run(name: str, arguments: list[str]) -> None:
    from services.errors import AssayError

    if not (ROOT / "tests" / "benchmarks" / f"{name}.py").is_file():
        raise AssayError("The benchmarks are not part of the installed package: run this from a source checkout.")
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments]
    raise typer.Exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
