"""`assay replay`: the log scored again, and compared."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import print_json, results
from services.cli.verify import progress_bar

if TYPE_CHECKING:
    from services.replay.replay import Replayed
    from services.verification.read import Progress

EXAMPLE = "Example: assay replay --from 2026-11-01 --to 2026-11-02T12:00"


def replay(
    since: Annotated[datetime | None, typer.Option("--from", help="Compare inputs from this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Compare inputs before this time, UTC.")] = None,
    group: Annotated[str | None, typer.Option(help="The scorer's consumer group. Default: ASSAY_GROUP.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Fold and score the input again, offline, and compare every bit with the scores that were emitted.

    Set ASSAY_* as the scorer has them. The history is folded from the input's first record; --from and --to choose, by the
    records' timestamps, what is compared. Scores of another bundle or provider are left out. Exits with 1 on a difference.
    """
    with progress_bar(hidden=json) as progress:
        replayed, model = run(group, since, until, progress)
    if json:
        truncated = list(replayed.truncated_partitions)
        print_json({**replayed.comparison.as_dict(), "truncated_partitions": truncated, "model": model})
    else:
        _show(replayed, model)
    if not replayed.comparison.equal:
        raise typer.Exit(1)


def run(
    group: str | None, since: datetime | None, until: datetime | None, progress: "Progress | None"
) -> "tuple[Replayed, str]":
    """The replay as the environment's settings have it, and the name of the model that it ran."""
    from services.replay.replay import Period
    from services.replay.replay import replay as fold_and_compare
    from services.runtime.settings import KafkaSettings, RuntimeSettings, ScorerSettings, TopicSettings, load
    from services.scorer.model import load_session
    from services.scorer.processor import Limits

    runtime, scorer = load(RuntimeSettings), load(ScorerSettings)
    everything = Period()
    period = Period(_ms(since, everything.since_ms), _ms(until, everything.until_ms))
    session = load_session(scorer)
    replayed = asyncio.run(
        fold_and_compare(
            load(KafkaSettings),
            load(TopicSettings),
            group or runtime.group,
            session,
            Limits.of(runtime, scorer),
            period,
            progress,
        )
    )
    return replayed, session.model_name


def _ms(moment: datetime | None, default: int) -> int:
    return default if moment is None else int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def _show(replayed: "Replayed", model: str) -> None:
    found = replayed.comparison
    results.print(f"{found.compared:,} scores of {model} compared: {found.differing:,} differ in a bit")
    for count, what in (
        (found.not_emitted, "scored by the replay alone"),
        (found.not_replayed, "scored by the stream alone"),
        (found.other_model, "scored by another bundle or provider, left out"),
    ):
        if count:
            results.print(f"  {count:,} {what}")
    for example in found.examples:
        results.print(f"    {example}", markup=False)
    if replayed.truncated_partitions:
        results.print(
            f"Partitions {', '.join(map(str, replayed.truncated_partitions))} have lost their oldest records to retention: the "
            "history of their cards is not complete, and differences may come from that."
        )
    if not found.compared:
        results.print("Nothing to compare: check --from, --to, ASSAY_BUNDLE and ASSAY_DEVICE.")
