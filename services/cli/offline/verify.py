"""`assay verify`: the independent oracle."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.offline.read_back import progress_bar
from services.cli.output import notes, print_json, results
from services.cli.products import Product

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.policy import Policy
    from schemas.source_spec import SourceSpec
    from services.verification.hops import HopsVerdict
    from services.verification.pipeline import Pipeline
    from services.verification.verdict import Verdict

EXAMPLE = "Example: assay verify --json; assay verify --product credit; assay verify --audit"

DAMAGE = {
    "missing": "inputs without score or dead letter",
    "duplicate": "outputs beyond the one that an input is due",
    "out_of_order": "outputs behind a later one of their partition",
    "inconsistent": "outputs or offsets that are not there together",
    "hanging": "partitions with a transaction that never ends",
    "misjudged": "scores whose alert or action is not what thresholds and policy give",
    "disagreeing": "partitions that a reader at the end sees otherwise than one that followed them",
}


def verify(
    product: Annotated[Product, typer.Option(help="Whose input and outputs.")] = Product.FRAUD,
    group: Annotated[
        str | None, typer.Option(help="The consumer group. Default: ASSAY_GROUP, or ASSAY_CREDIT_GROUP.")
    ] = None,
    from_first_output: Annotated[
        bool, typer.Option(help="Leave out what lies before the first output: for a group that began at latest.")
    ] = False,
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for open transactions.")] = 60.0,
    watch: Annotated[
        float,
        typer.Option(min=0.0, help="First follow the outputs for so many seconds, and compare what both readers saw."),
    ] = 0.0,
    bits: Annotated[
        bool,
        typer.Option(
            "--bits", help="Then fold and score everything again, as `assay replay` does, and compare every bit."
        ),
    ] = False,
    source: Annotated[Path | None, typer.Option(help="Source spec. Default: that of the bundle that scores.")] = None,
    entities: Annotated[
        bool,
        typer.Option(
            "--entities", help="The bundle reads entities: judge the hop to each, and the scorer behind them."
        ),
    ] = False,
    allow_split: Annotated[
        bool,
        typer.Option(
            "--allow-split",
            help="Exit with 0 although cards are split over partitions, for example after some were added.",
        ),
    ] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Instead: whether the console's audit trail has a gap, or a changed record.")
    ] = False,
    audit_heads: Annotated[
        Path | None,
        typer.Option(
            help="With --audit: file of the trail's newest records. Compared with, then written: keep it elsewhere."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Read input and outputs back and check that each committed input was answered exactly once.

    Of a source that is routed, the hop to `events`, too; with --entities each hop of `assay entities`. May run beside a scorer.
    Alerts, actions and outcomes are judged again by thresholds and policies, answers of a gateway by the scores; `assay replay`
    compares the scores themselves, bit for bit, and so does --bits. Exits with 1 if anything is missing, duplicate, out of
    order, inconsistent, hanging, misjudged, disagreeing or differing, or if cards (applicants) are split over partitions.
    """
    if audit or audit_heads:
        from services.cli.offline.audit_check import check

        if not audit:
            raise typer.BadParameter("it belongs to --audit.", param_hint="--audit-heads")
        check(audit_heads, json=json)
        return
    group = group or _group(product)
    pipeline, spec, entities = _pipeline(product, source, entities=entities, hidden=json)
    options: dict[str, Any] = {"pipeline": pipeline, "settle_s_max": settle, "from_first_output": from_first_output}
    with progress_bar(hidden=json) as progress:
        options |= {"progress": progress, "policies": _policies(product)}
        before = _before(spec, options, entities=entities)
        verdict = asyncio.run(_judge(group, watch, options))
    same, more = _compared(group, product, hidden=json, entities=entities) if bits else (True, {})
    _print(*before, verdict, more, as_json=json)
    clean = same and all(one is None or one.clean for one in (*before, verdict))
    if not clean or (verdict.split_subjects and not allow_split):
        raise typer.Exit(1)


def _pipeline(
    product: Product, source: Path | None, *, entities: bool, hidden: bool
) -> "tuple[Pipeline, SourceSpec | None, bool]":
    """What is judged, the source spec of the user's topic, if any, and whether entities are between. Raises SourceSpecError."""
    from services.verification.pipeline import CREDIT, PAYMENTS

    if product is Product.CREDIT:
        return CREDIT, None, False
    spec, entities = _input(source, entities=entities)
    found = PAYMENTS.of_entities() if entities else PAYMENTS.reading(spec)
    if not hidden:
        notes.print(f"The input is {found.source.name}{'' if spec is None else f', made of {spec.topic}'}.")
    return found, spec, entities


def _input(given: Path | None, *, entities: bool) -> "tuple[SourceSpec | None, bool]":
    """The source spec of the input, and whether the scorer reads it behind the stages of entities. Raises SourceSpecError."""
    from models.sources.spec_file import load_source
    from services.cli.operating.inputs import scoring_manifest

    if given is not None:
        return load_source(given), entities
    manifest = scoring_manifest()
    if manifest is None:
        return None, entities
    return manifest.source, entities or bool(manifest.feature_spec.stages)


def _policies(product: Product) -> "Callable[[str], Policy | None]":
    """Those that the settings can find."""
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.settings.policy import CreditPolicySettings, PolicySettings
    from services.trusted_policies import policies_by_name

    of = CreditPolicySettings if product is Product.CREDIT else PolicySettings
    find = policies_by_name(load(of), load(BundleSettings))

    def policy(name: str) -> "Policy | None":
        signed = find(name)
        return None if signed is None else signed.policy

    return policy


def _group(product: Product) -> str:
    from services.settings.credit import CreditSettings
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings

    return load(CreditSettings).group if product is Product.CREDIT else load(RuntimeSettings).group


def _print(
    routed: "Verdict | None", hops: "HopsVerdict | None", verdict: "Verdict", more: dict[str, int], *, as_json: bool
) -> None:
    """more: counts of a replay, if it was asked for."""
    if as_json:
        old_name = {"torn": verdict.inconsistent}  # until 0.3
        further = {"intake": routed.as_dict()} if routed else {}
        further |= {"entities": hops.as_dict()} if hops else {}
        print_json({**verdict.as_dict(), **old_name, **further, **more})
        return
    if routed:
        show_routed(routed)
    if hops:
        show_hops(hops)
    show(verdict)
    if more:
        results.print(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in more.items()))


def _before(
    spec: "SourceSpec | None", options: dict[str, Any], *, entities: bool
) -> "tuple[Verdict | None, HopsVerdict | None]":
    """The hops before the scorer: of intake, and of entities."""
    routed = asyncio.run(_routed(spec, options)) if spec is not None and spec.is_routed else None
    return routed, _hops(spec, options) if entities else None


async def _routed(spec: "SourceSpec", options: dict[str, Any]) -> "Verdict":
    """The first hop: from the user's topic to `events`."""
    from services.formats import open_reader
    from services.settings.intake import IntakeSettings
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.settings.schema_registry import SchemaRegistrySettings
    from services.verification.pipeline import routing

    reader = open_reader(spec, load(SchemaRegistrySettings), load(RuntimeSettings).message_bytes_max)
    try:
        return await _judge(load(IntakeSettings).group, 0.0, {**options, "pipeline": routing(spec, reader)})
    finally:
        await reader.close()


def _hops(spec: "SourceSpec | None", options: dict[str, Any]) -> "HopsVerdict":
    """From the source over each entity to the scorer's topic; the entities are those of the bundle that scores."""
    from models.sources.routed import in_log
    from models.sources.spec_file import topic_of
    from services.cli.operating.inputs import scoring_manifest
    from services.errors import AssayError
    from services.settings.entities import EntitiesSettings
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.verification.hops import verify_hops

    manifest = scoring_manifest()
    if manifest is None or not manifest.feature_spec.stages:
        raise AssayError(
            "The bundle that scores reads no entity, or cannot be had: set ASSAY_BUNDLE, or leave --entities out."
        )
    source = spec or manifest.source
    where = load(KafkaSettings), load(TopicSettings), load(EntitiesSettings).group
    run = verify_hops(
        *where,
        topic_of(source),
        manifest.feature_spec.stages,
        in_log(source),
        **{name: options[name] for name in ("settle_s_max", "from_first_output", "progress")},
    )
    return asyncio.run(run)


async def _judge(group: str, watch_s: float, options: dict[str, Any]) -> "Verdict":
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.verification.verify import output_partitions
    from services.verification.verify import verify as judge
    from services.verification.witness import Witness

    kafka, topics = load(KafkaSettings), load(TopicSettings)
    if not watch_s:
        return await judge(kafka, topics, group, **options)
    witness, stop = Witness(kafka, await output_partitions(kafka, topics, options["pipeline"])), asyncio.Event()
    asyncio.get_running_loop().call_later(watch_s, stop.set)
    await witness.follow(stop)
    return await judge(kafka, topics, group, seen=witness.trails, **options)


def _compared(group: str | None, product: Product, *, hidden: bool, entities: bool) -> tuple[bool, dict[str, int]]:
    """Whether a replay says the same, and its counts; of the stages too where there are entities."""
    from services.cli.offline.replay import credit_replayed_with, replayed_with
    from services.cli.offline.stages import stages_replayed

    with progress_bar(hidden=hidden) as progress:
        run = credit_replayed_with if product is Product.CREDIT else replayed_with
        comparison = run(progress, group)[0].comparison
        stages = asyncio.run(stages_replayed(progress)) if entities else None
    counts = comparison.as_dict()
    del counts["examples"]
    if stages is None:
        return comparison.equal, counts
    if not hidden:
        for example in stages.examples:
            results.print(f"    {example}")
    return comparison.equal and stages.equal, {**counts, **stages.as_dict()}


def show_routed(verdict: "Verdict") -> None:
    """What became of the user's topic, as text, on stdout."""
    results.print(
        f"Intake: {verdict.inputs:,} records that are meant: {verdict.scores:,} events, {verdict.dead_letters:,} dead letters"
    )
    _show_counts(
        (verdict.lag, "not committed yet"),
        (verdict.unjudged, "left out: retention has deleted events"),
    )
    _show_damage(verdict)


def show_hops(hops: "HopsVerdict") -> None:
    """What became of the source's events on their way to the scorer, as text, on stdout."""
    found, reached = hops.verdict, ", ".join(f"{count:,} {name}" for name, count in hops.stages.items())
    results.print(f"Entities: {found.inputs:,} events: {reached}; {found.dead_letters:,} dead letters")
    _show_counts(
        (found.lag, "on their way, not committed yet"),
        (found.unjudged, "left out: retention has deleted what they became, or they lie before the first one"),
    )
    _show_damage(found)


def show(verdict: "Verdict") -> None:
    """The verdict as text, on stdout."""
    results.print(
        f"{verdict.inputs:,} inputs: {verdict.scores:,} scores, {verdict.dead_letters:,} dead letters, "
        f"{verdict.alerts:,} alerts, {verdict.decisions:,} decisions"
        f"{f', {verdict.answers:,} answers' if verdict.answers else ''}"
    )
    _show_counts(
        (verdict.lag, "inputs not committed yet"),
        (verdict.unjudged, "inputs left out: retention has deleted their outputs, or they lie before the first one"),
        (verdict.uncounted, "inputs on no scoring metric yet"),
        (verdict.former, "outputs of a former log that had the input's name, left out"),
        (verdict.unruled, "scores of a model that no decision names the thresholds of"),
    )
    _show_damage(verdict)
    results.print(
        "Exactly once: nothing missing, duplicate, out of order, inconsistent, hanging or misjudged."
        if verdict.clean
        else "DAMAGED."
    )
    if verdict.split_subjects:
        results.print(
            f"But {verdict.split_subjects:,} of {verdict.subjects:,} cards (applicants), "
            f"{verdict.split_subjects / verdict.subjects:.1%}, lie on more than one partition, so their scores miss a part of "
            "their history: docs/runbooks.md, Records misplaced."
        )


def _show_counts(*found: tuple[int, str]) -> None:
    for count, what in found:
        if count:
            results.print(f"  {count:,} {what}")


def _show_damage(verdict: "Verdict") -> None:
    for name, what in DAMAGE.items():
        if count := getattr(verdict, name):
            results.print(f"  {count:,} {name.replace('_', ' ')}: {what}")
            for position in verdict.examples.get(name, ()):
                results.print(f"    {position}")
