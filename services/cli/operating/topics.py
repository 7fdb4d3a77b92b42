"""`assay topics create|list`."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import print_json, results

if TYPE_CHECKING:
    from schemas.source_spec import SourceSpec
    from schemas.topics import Topic
    from services.kafka.topic_configs import Difference
    from services.kafka.topics_admin import CreatedTopic
    from services.settings.kafka import KafkaSettings, TopicSettings

app = typer.Typer(help="The topics that schemas/topics.py declares.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]
ProductOption = Annotated[
    str | None, typer.Option("--product", metavar="NAME", help="Of this product. Default: ASSAY_PRODUCT, if it is set.")
]


def _choose(product: str | None) -> None:
    """From here on settings are this product's."""
    if product is not None:
        os.environ["ASSAY_PRODUCT"] = product


@app.command(epilog="Example: ASSAY_PARTITIONS=12 ASSAY_REPLICATION=3 assay topics create")
def create(
    alter: Annotated[
        bool,
        typer.Option(
            "--alter",
            help="Set what differs on existing topics to what is declared; never shortens a retention. Prints the way back.",
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            help="Source spec: its topic, named whole, in place of `transactions`. It is made, never altered."
        ),
    ] = None,
    add: Annotated[
        bool,
        typer.Option(
            "--add-partitions",
            help="Give existing topics of Assay's as many as ASSAY_PARTITIONS says. Kafka cannot take them away again, and "
            "most cards begin a new history: so it asks.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    product: ProductOption = None,
    json: Json = False,
) -> None:
    """Create the topics that do not exist yet, and say what differs on those that do.

    Needs the right to create topics, and to alter them; the services do not.
    """
    from models.sources.spec_file import load_source
    from services.kafka import topic_configs
    from services.kafka.topics_admin import create_topics
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load

    _choose(product)
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    wanted = with_users(wanted_topics(), None if source is None else load_source(source))
    before = _with_partitions(kafka, topics, wanted, yes=yes) if add else {}
    done = asyncio.run(create_topics(kafka, topics, wanted))
    found = asyncio.run(topic_configs.differences(kafka, topics, [topic for topic in wanted if not topic.users]))
    back = asyncio.run(topic_configs.alter(kafka, topics, wanted, found)) if alter else []
    if json:
        print_json(
            [
                {
                    "name": topic.name,
                    "partitions": topic.partitions,
                    "created": topic.created,
                    "partitions_added": topic.partitions - before.get(topic.name, topic.partitions),
                    "differs": {d.setting: [d.found, d.wanted] for d in found if d.topic == topic.name},
                    "altered": [d.setting for d in found if alter and d.alterable and d.topic == topic.name],
                    "way_back": [command for command in back if f"--entity-name {topic.name} " in command],
                }
                for topic in done
            ]
        )
        return
    _show(done, found, before, back, alter=alter)


def _show(
    done: "list[CreatedTopic]", found: "list[Difference]", before: dict[str, int], back: list[str], *, alter: bool
) -> None:
    """What became of each topic. found: what differs. before: how many partitions those had that were given more."""
    for topic in done:
        what = "created" if topic.created else "exists"
        more = f", {topic.partitions - before[topic.name]} of them added" if topic.name in before else ""
        results.print(f"{topic.name}: {what}, {topic.partitions} partition{'s' * (topic.partitions != 1)}{more}")
        for difference in found:
            if difference.topic == topic.name:
                results.print(f"  {difference}{_became(difference, alter=alter)}")
    if back:
        results.print("The way back:")
        for command in back:
            results.print(f"  {command}", soft_wrap=True)
    elif any(difference.alterable for difference in found):
        results.print("`assay topics create --alter` sets them as declared, and prints the way back.")


def _with_partitions(
    kafka: "KafkaSettings", topics: "TopicSettings", wanted: "tuple[Topic, ...]", *, yes: bool
) -> dict[str, int]:
    """Add what existing topics lack, once a person has agreed. How many those had, by name."""
    from services.kafka.added_partitions import add_partitions, short_of_partitions

    short = asyncio.run(short_of_partitions(kafka, topics, wanted))
    if short and not yes:
        names = ", ".join(f"{one.name} ({one.partitions})" for one in short)
        typer.confirm(
            f"Give {names} {topics.partitions} partitions? Kafka cannot take them away again, and the histories of most cards "
            "begin again on another partition.",
            abort=True,
            err=True,
        )
    asyncio.run(add_partitions(kafka, topics, short))
    return {one.name: one.partitions for one in short}


def wanted_topics() -> "tuple[Topic, ...]":
    """Every topic of ours; with ASSAY_OUTPUT_FORMAT the typed copies, too."""
    from schemas.topics import CONVERTED, TOPICS, typed_copy
    from services.settings.converter import OutputSettings
    from services.settings.loading import load

    form = load(OutputSettings).format
    return TOPICS if form == "json" else (*TOPICS, *(typed_copy(topic, form) for topic in CONVERTED))


def with_users(ours: "tuple[Topic, ...]", source: "SourceSpec | None") -> "tuple[Topic, ...]":
    """The same with the topic of a source spec in place of `transactions`. Raises SourceSpecError."""
    from models.sources.spec_file import users_topic
    from schemas.topics import TRANSACTIONS

    return tuple(users_topic(source) if topic is TRANSACTIONS else topic for topic in ours)


def _became(difference: "Difference", *, alter: bool) -> str:
    if not difference.alterable:
        return " (not altered by us: see to it by hand)"
    return ", altered" if alter else ""


@app.command("list", epilog="Example: assay topics list")
def list_topics(product: ProductOption = None, json: Json = False) -> None:
    """Show the topics, as declared and as the brokers have them."""
    from rich.table import Column, Table

    from schemas.topics import DAY_MS
    from services.kafka.topics_admin import describe_topics
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load

    _choose(product)
    states = asyncio.run(describe_topics(load(KafkaSettings), load(TopicSettings), wanted := wanted_topics()))
    rows = list(zip(wanted, states, strict=True))
    if json:
        print_json([{"name": s.name, "partitions": s.partitions, "replication": s.replication} for _, s in rows])
        return
    table = Table(Column("topic", no_wrap=True), "partitions", "replicas", "key", "retention", box=None)
    for topic, state in rows:
        retention = "until compacted" if topic.retention_ms is None else f"{topic.retention_ms // DAY_MS} days"
        partitions = str(state.partitions) if state.partitions else "does not exist"
        table.add_row(state.name, partitions, str(state.replication), topic.key, retention)
    results.print(table)
