"""`assay simulate`: streams generated payments."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.installation import DEPLOY
from services.cli.output import notes, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.simulation.settings import SimulationSettings
    from models.simulation.stream import TransactionDay
    from services.simulator.stream import Sent

EXAMPLE = "Example: assay simulate --rate 5000 --duration 60 --bad-share 0.001"
DAY_MS = 86_400_000
GENERATOR = DEPLOY / "generators" / "payments"

START = "2000-01-01"
"""Simulated days fly by, and a payment from the future is a dead letter: so they begin long ago and end today."""


class Source(StrEnum):
    """Where amounts and times come from."""

    RULES = "rules"
    GAN = "gan"


LabelDelay = Annotated[
    int | None,
    typer.Option(min=0, max=60, help="Tell each fraud on `labels`, so many simulated days later. Default: never."),
]
From = Annotated[Source, typer.Option("--from", help="rules: the simulator's distributions. gan: a trained generator.")]
Drift = Annotated[
    int | None,
    typer.Option(min=0, help="From this simulated day on everybody spends 1.5 times as much. Default: never."),
]
Rings = Annotated[
    bool,
    typer.Option(
        "--rings",
        help="Also frauds of many cards at once, and a device_id and a payee_id in each payment (docs/entities.md).",
    ),
]
Generator = Annotated[
    Path,
    typer.Option(help="With --from gan: its directory, by `assay train generator`.", show_default="the demo's"),
]


def simulate(
    rate: Annotated[float, typer.Option(min=0.1, help="Payments a second.")] = 2000.0,
    duration: Annotated[float | None, typer.Option(min=0.0, help="Stop after this many seconds.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many payments.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same payments.")] = 7,
    bad_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of garbage, each due a dead letter.")] = 0.0,
    customers: Annotated[int, typer.Option(help="Cards in the simulated population.")] = 5000,
    label_delay_days: LabelDelay = None,
    source: From = Source.RULES,
    generator: Generator = GENERATOR,
    drift: Drift = None,
    rings: Rings = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON at the end, and no progress.")] = False,
) -> None:
    """Stream simulated payments to `transactions`, and labels to `labels`, until --duration, --count or Ctrl-C."""
    import uvloop

    from models.simulation.settings import SimulationSettings
    from services.clock import wall_ms
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.simulator.payloads import payloads
    from services.simulator.stream import prefetched, stream

    days = wall_ms() // DAY_MS - SimulationSettings(start=START).start_day
    terminals = 2 * customers  # as in the generator's source
    settings = SimulationSettings(seed, customers, terminals, start=START, days=days, drift_day=drift, rings=rings)
    if rings and source is Source.GAN:
        raise typer.BadParameter("rings are the rules' own: leave out --from gan, or --rings.", param_hint="--rings")
    records = payloads(prefetched(_days(source, generator, settings)), bad_share, seed, label_delay_days)
    where = load(KafkaSettings), load(TopicSettings), load(RuntimeSettings)
    show = None if json else _show
    labelled = label_delay_days is not None
    sent = uvloop.run(
        stream(*where, records, rate=rate, count=count, duration_s=duration, progress=show, labelled=labelled)
    )
    if json:
        print_json(asdict(sent))
    else:
        _show(sent)


def _days(source: Source, generator: Path, settings: SimulationSettings) -> Iterator[TransactionDay]:
    if source is Source.GAN:
        from models.generation.artefact import load_generator
        from models.generation.payments import generate_payments

        return generate_payments(load_generator(generator), settings)
    from models.simulation.stream import generate

    return generate(settings)


def _show(sent: Sent) -> None:
    per_s = sent.records / sent.elapsed_s if sent.elapsed_s else 0.0
    notes.print(
        f"{sent.records:,} sent in {sent.elapsed_s:.1f} s ({per_s:,.0f}/s), {sent.bad:,} bad, {sent.behind_s:.2f} s behind"
    )
