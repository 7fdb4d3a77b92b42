"""`assay credit score|simulate|batch`: the second product, on topics, group and bundle of its own."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import notes, print_json

if TYPE_CHECKING:
    from services.simulator.stream import Sent

app = typer.Typer(
    help="Credit applications: judge them, simulate them. `assay train credit` trains, `assay verify --product credit` checks.",
    no_args_is_help=True,
    epilog="Example: assay credit score",
)

SCORE_EXAMPLE = "Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 ASSAY_CREDIT_BUNDLE=bundles/credit assay credit score"
GAP_MS = 1_000


@app.command(epilog=SCORE_EXAMPLE)
def score() -> None:
    """Judge what arrives on `applications` until Ctrl-C or SIGTERM: a score and a decision with reasons for each, once.

    Settings: the environment. Start it once more elsewhere to share the partitions.
    """
    from services.credit.__main__ import start
    from services.engine.process import main

    main(start)


@app.command(epilog="Example: assay credit simulate --rate 50 --count 10000 --bad-share 0.01")
def simulate(
    rate: Annotated[float, typer.Option(min=0.1, help="Applications a second.")] = 20.0,
    duration: Annotated[float | None, typer.Option(min=0.0, help="Stop after this many seconds.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many applications.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same applications.")] = 7,
    bad_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of garbage, each due a dead letter.")] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON at the end, and no progress.")] = False,
) -> None:
    """Stream simulated applications to `applications` until --duration, --count or Ctrl-C."""
    import uvloop

    from models.simulation.applications import generate
    from schemas.topics import APPLICATIONS
    from services.clock import wall_ms
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.simulator.applications import application_payloads
    from services.simulator.stream import prefetched, stream

    batches = generate(seed, start_ms=wall_ms(), gap_ms=max(1, round(GAP_MS / rate)))
    sent = uvloop.run(
        stream(
            load(KafkaSettings),
            load(TopicSettings),
            load(RuntimeSettings),
            application_payloads(prefetched(batches), bad_share, seed),
            rate=rate,
            count=count,
            duration_s=duration,
            progress=None if json else _show,
            target=APPLICATIONS,
            labelled=False,
        )
    )
    if json:
        print_json(asdict(sent))
    else:
        _show(sent)


def _show(sent: "Sent") -> None:
    notes.print(f"{sent.records:,} sent in {sent.elapsed_s:.1f} s, {sent.bad:,} bad")
