"""`assay demo`: the whole system on this machine, for a minute."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import print_json, results

if TYPE_CHECKING:
    from services.cli.demo.outcome import Outcome

EXAMPLE = "Example: assay demo --duration 30 --rate 5000"


def demo(
    duration: Annotated[float, typer.Option(min=1.0, help="Seconds of traffic.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1.0, help="Payments a second.")] = 2000.0,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Scorer processes.")] = 1,
    dashboards: Annotated[
        bool, typer.Option("--dashboards", help="Prometheus and Grafana over it, where they are installed.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Afterwards, leave the console to look at, until Ctrl-C.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Nothing on stdout but one line of JSON at the end.")] = False,
) -> None:
    """Start Kafka and a scorer, stream simulated payments, watch, stop, verify.

    With ASSAY_KAFKA_BOOTSTRAP set, that cluster is used, with topics of a fresh prefix. Exits with 1 if the check finds
    anything, or no score came.
    """
    from services.cli.demo.parts import Options
    from services.cli.demo.run import run

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: in order, leaving nothing
    if keep and json:
        raise typer.BadParameter("with --json there is no console to keep: leave one of them out.")
    options = Options(duration, rate, processes, json, dashboards, keep)
    outcome = run(options, (lambda outcome: print_json(outcome.as_dict())) if json else _show)
    if not outcome.good:
        raise typer.Exit(1)


def _show(outcome: "Outcome") -> None:
    from services.cli.offline.verify import show

    results.rule("summary")
    results.print(
        f"{outcome.scored:,} payments scored by {outcome.model} at {outcome.records_per_s:,.0f}/s, {outcome.alerts:,} alerts, "
        f"{outcome.dead_letters:,} dead letters ({outcome.bad_sent:,} bad payments were sent)"
    )
    results.print(
        f"committed end-to-end latency: p50 {outcome.latency_ms_p50} ms, p99 {outcome.latency_ms_p99} ms"
        + (f"; scorers killed and started again: {outcome.restarts}" if outcome.restarts else "")
    )
    show(outcome.verdict)
    if outcome.verdict.inputs != outcome.sent:
        results.print(f"Only {outcome.verdict.inputs:,} of {outcome.sent:,} payments sent were committed in time.")
