"""`assay topics create|list`."""

import asyncio
from typing import Annotated

import typer

from services.cli.output import print_json, results

app = typer.Typer(help="The topics that schemas/topics.py declares.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command(epilog="Example: ASSAY_PARTITIONS=12 ASSAY_REPLICATION=3 assay topics create")
def create(json: Json = False) -> None:
    """Create the topics that do not exist yet. Needs the right to create topics; the services do not."""
    from schemas.topics import TOPICS
    from services.kafka.topics_admin import create_topics
    from services.settings.stream import KafkaSettings, TopicSettings, load

    done = asyncio.run(create_topics(load(KafkaSettings), load(TopicSettings), TOPICS))
    if json:
        print_json([{"name": topic.name, "partitions": topic.partitions, "created": topic.created} for topic in done])
        return
    for topic in done:
        what = "created" if topic.created else "exists"
        results.print(f"{topic.name}: {what}, {topic.partitions} partition{'s' * (topic.partitions != 1)}")


@app.command("list", epilog="Example: assay topics list")
def list_topics(json: Json = False) -> None:
    """Show the topics, as declared and as the brokers have them."""
    from rich.table import Column, Table

    from schemas.topics import DAY_MS, TOPICS
    from services.kafka.topics_admin import describe_topics
    from services.settings.stream import KafkaSettings, TopicSettings, load

    states = asyncio.run(describe_topics(load(KafkaSettings), load(TopicSettings), TOPICS))
    rows = list(zip(TOPICS, states, strict=True))
    if json:
        print_json([{"name": s.name, "partitions": s.partitions, "replication": s.replication} for _, s in rows])
        return
    table = Table(Column("topic", no_wrap=True), "partitions", "replicas", "key", "retention", box=None)
    for topic, state in rows:
        retention = "until compacted" if topic.retention_ms is None else f"{topic.retention_ms // DAY_MS} days"
        partitions = str(state.partitions) if state.partitions else "does not exist"
        table.add_row(state.name, partitions, str(state.replication), topic.key, retention)
    results.print(table)
