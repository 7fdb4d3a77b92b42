"""`assay replay`: the log scored again, and compared; `assay archive`: the log kept in files for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.files import needing_files
from services.cli.offline.read_back import progress_bar
from services.cli.output import logs_to_stderr, print_json, results
from services.cli.products import Product

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from models.policy.program import Program
    from models.scoring.session import ModelSession
    from schemas.topics import Topic
    from services.replay.log import Log
    from services.replay.replay import Period, Programs, Replayed
    from services.scorer.processor import Limits
    from services.settings.kafka import KafkaSettings
    from services.settings.policy import PolicySettings
    from services.verification.read import Progress

EXAMPLE = "Example: assay replay --from 2026-11-01 --to 2026-11-02T12:00; assay replay --product credit"
ARCHIVE_EXAMPLE = "Example: assay archive .assay/archive-2026-11 && assay replay --archive .assay/archive-2026-11"


def replay(
    since: Annotated[datetime | None, typer.Option("--from", help="Compare inputs from this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Compare inputs before this time, UTC.")] = None,
    group: Annotated[
        str | None, typer.Option(help="The consumer group. Default: ASSAY_GROUP, or ASSAY_CREDIT_GROUP.")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="Read this directory of `assay archive` in place of the topics.")
    ] = None,
    product: Annotated[Product, typer.Option(help="Whose input and scores.")] = Product.FRAUD,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Fold and score the input again, offline, and compare every bit with the scores that were emitted.

    Set ASSAY_* as the scorer has them. The history is folded from the input's first record; --from and --to choose, by the
    records' timestamps, what is compared. Scores of another bundle or provider are left out. Exits with 1 on a difference.
    """
    if product is Product.CREDIT and archive is not None:
        raise typer.BadParameter("archives are of payments: leave it out for credit.", param_hint="--archive")
    with progress_bar(hidden=json) as progress:
        if product is Product.CREDIT:
            replayed, model, why = credit_replayed_with(progress, group, since, until)
        else:
            replayed, model, why = replayed_with(progress, group, since, until, archive)
    if json:
        truncated = list(replayed.truncated_partitions)
        print_json({**replayed.comparison.as_dict(), "truncated_partitions": truncated, "model": model, "why": why})
    else:
        _show(replayed, f"{model} ({why})")
    if not replayed.comparison.equal:
        raise typer.Exit(1)


def replayed_with(
    progress: "Progress",
    group: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    archive: Path | None = None,
) -> "tuple[Replayed, str, str]":
    """The replay as the environment's settings have it, the name of the model that ran, and why it is that."""
    logs_to_stderr()
    from services.replay.replay import Period
    from services.scorer.processor import Limits
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.settings.scorer import ScorerSettings
    from services.swapping.loader import load_session

    runtime, scorer = load(RuntimeSettings), load(ScorerSettings)
    everything = Period()
    period = Period(_ms(since, everything.since_ms), _ms(until, everything.until_ms))
    session, found = load_session(scorer)
    run = _replay(group or runtime.group, archive, session, Limits.of(runtime, scorer), period, progress)
    return asyncio.run(run), session.model_name, found.why


def credit_replayed_with(
    progress: "Progress", group: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> "tuple[Replayed, str, str]":
    """The same of credit's applications."""
    from schemas.topics import APPLICATIONS, CREDIT_SCORES
    from services.replay.credit import replay_credit
    from services.replay.log import KafkaLog
    from services.replay.replay import Period
    from services.settings.credit import CreditSettings
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.settings.policy import CreditPolicySettings
    from services.settings.processing import RuntimeSettings
    from services.swapping.loader import load_session

    settings, everything = load(CreditSettings), Period()
    session, found = load_session(settings)
    period = Period(_ms(since, everything.since_ms), _ms(until, everything.until_ms))
    programs = _programs(session, CreditPolicySettings)

    async def run() -> "Replayed":
        kafka, topics = load(KafkaSettings), load(TopicSettings)
        whose = {"setting": "ASSAY_CREDIT_GROUP", "service": "the credit service"}
        async with reading(kafka) as consumer:
            log = KafkaLog(kafka, topics, group or settings.group, consumer, APPLICATIONS, CREDIT_SCORES, **whose)
            return await replay_credit(log, session, load(RuntimeSettings), period, progress, programs)

    return asyncio.run(run()), session.model_name, found.why


def keep(
    directory: Annotated[Path, typer.Argument(help="Where to; it must not be there yet.")],
    group: Annotated[str | None, typer.Option(help="The scorer's consumer group. Default: ASSAY_GROUP.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Keep in Parquet what a replay needs: the input that the group has committed, its scores, the terminals' profiles.

    Payloads are kept byte for byte: keep the directory as safe as the topics.
    """
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings

    with progress_bar(hidden=json) as progress:
        written = asyncio.run(_archive(group or load(RuntimeSettings).group, directory, progress))
    if json:
        print_json({name.replace("-", "_"): rows for name, rows in written.items()})
    else:
        results.print(f"{directory}: " + ", ".join(f"{rows:,} {name}" for name, rows in written.items()))


async def _archive(group: str, directory: Path, progress: "Progress") -> dict[str, int]:
    with needing_files():
        from services.replay.archive import write_archive
    from services.cli.operating.inputs import scoring_input
    from services.engine.origin import Origins
    from services.settings.kafka import TopicSettings
    from services.settings.loading import load

    source = scoring_input()
    origins = Origins.of([source], load(TopicSettings).topic_prefix)
    async with topics_log(group, source) as log:
        return await write_archive(log, directory, progress, origins)


async def _replay(
    group: str, archive: Path | None, session: "ModelSession", limits: "Limits", period: "Period", progress: "Progress"
) -> "Replayed":
    from models.sources.spec_file import scorer_input
    from services.replay.replay import replay as run

    programs = _programs(session)
    if archive is not None:
        with needing_files():
            from services.replay.archive import ArchiveLog
        return await run(ArchiveLog(archive), session, limits, period, progress, programs)
    manifest = session.bundle.manifest
    async with topics_log(group, scorer_input(manifest.source, manifest.feature_spec)) as log:
        return await run(log, session, limits, period, progress, programs)


def _programs(session: "ModelSession", of: "type[PolicySettings] | None" = None) -> "Programs":
    """The policies that the settings can find, ready to run beside the model. of: whose; by default those of payments."""
    from functools import cache

    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.settings.policy import PolicySettings
    from services.trusted_policies import compiled, known_to, policies_by_name

    find = policies_by_name(load(of or PolicySettings), load(BundleSettings))

    @cache
    def program(name: str) -> "Program | None":
        signed = find(name)
        return None if signed is None else compiled(signed, known_to(session.bundle, signed.policy))

    return program


@asynccontextmanager
async def topics_log(group: str, source: "Topic | None" = None) -> "AsyncIterator[Log]":
    """The topics as a log; what Kafka refuses is one sentence. source: what the scorer reads; by default `transactions`."""
    from schemas.topics import TRANSACTIONS
    from services.replay.log import KafkaLog
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load

    kafka = load(KafkaSettings)
    async with reading(kafka) as consumer:
        yield KafkaLog(kafka, load(TopicSettings), group, consumer, source or TRANSACTIONS)


@asynccontextmanager
async def reading(kafka: "KafkaSettings") -> "AsyncIterator[AIOKafkaConsumer]":
    """A reader of what is committed, started; what Kafka refuses meanwhile is one sentence. Raises AssayError."""
    from aiokafka.errors import KafkaError

    from services.errors import AssayError
    from services.kafka.client import reader

    consumer = reader(kafka)
    try:
        await consumer.start()
        yield consumer
    except KafkaError as error:
        raise AssayError(
            f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}): check ASSAY_KAFKA_BOOTSTRAP."
        ) from None
    finally:
        await consumer.stop()


def _ms(moment: datetime | None, default: int) -> int:
    return default if moment is None else int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def _show(replayed: "Replayed", model: str) -> None:
    found = replayed.comparison
    results.print(f"{found.compared:,} scores of {model} compared: {found.differing:,} differ in a bit")
    for count, what in (
        (found.not_emitted, "scored by the replay alone"),
        (found.not_replayed, "scored by the stream alone"),
        (found.other_model, "scored by another bundle or provider, left out"),
        (
            found.other_policy,
            "decided by a policy, or by lists that other persons signed, which is not to be had: left out",
        ),
    ):
        if count:
            results.print(f"  {count:,} {what}")
    for example in found.examples:
        results.print(f"    {example}")
    if replayed.truncated_partitions:
        results.print(
            f"Partitions {', '.join(map(str, replayed.truncated_partitions))} have lost their oldest records to retention: the "
            "history of their cards is not complete, and differences may come from that."
        )
    if not found.compared:
        results.print("Nothing to compare: check --from, --to, the bundle and ASSAY_DEVICE.")
