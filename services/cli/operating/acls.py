"""`assay acls`: what each program must be allowed to do, for the administrator."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import print_json

EXAMPLE = (
    "Example: assay acls scorer --principal User:CN=scorer.bank.example | KAFKA_ACLS=kafka-acls.sh BOOTSTRAP=... sh"
)


class Program(StrEnum):
    """Whose."""

    SCORER = "scorer"
    INTAKE = "intake"
    ENTITIES = "entities"
    CONVERTER = "converter"
    PROFILER = "profiler"
    CREDIT = "credit"
    CASES = "cases"
    MONITOR = "monitor"
    GATEWAY = "gateway"
    CONSOLE = "console"
    ANALYST = "analyst"
    OPERATOR = "operator"
    CREDIT_OPERATOR = "credit-operator"
    UNMASKING = "unmasking"
    AUDITOR = "auditor"
    PAYMENT_PRODUCER = "payment-producer"
    LABEL_PRODUCER = "label-producer"
    APPLICATION_PRODUCER = "application-producer"
    CONSUMER = "consumer"


def acls(
    program: Annotated[Program, typer.Argument(help="Whose: ours, or your systems' at the two ends.")],
    principal: Annotated[str | None, typer.Option(help="Kafka's name for it. Default: User:assay-<program>.")] = None,
    group: Annotated[str | None, typer.Option(help="Its consumer group, where it is not the default.")] = None,
    source: Annotated[
        Path | None, typer.Option(help="Source spec: the topic that intake, or the scorer, then reads. Not for others.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON in place of a shell script.")] = False,
) -> None:
    """Print a script that grants a program what it needs and nothing else. ASSAY_TOPIC_PREFIX and ASSAY_PRODUCT apply."""
    from dataclasses import replace

    from models.sources.spec_file import load_source, topic_of, users_topic
    from schemas.topics import ACCESS
    from services.kafka.acls import grants, script
    from services.settings.kafka import TopicSettings
    from services.settings.loading import load
    from services.settings.product import ProductSettings, group_of

    access = next(access for access in ACCESS if access.name == program)
    if source is not None:
        if program not in (Program.INTAKE, Program.SCORER, Program.ENTITIES):
            raise typer.BadParameter(
                "only intake, entities and the scorer read a topic by a source spec.", param_hint="--source"
            )
        spec = load_source(source)
        own = users_topic(spec) if program is Program.INTAKE else topic_of(spec)
        access = replace(access, grouped=(own, *access.grouped[1:]) if program is Program.ENTITIES else (own,))
    prefix, product = load(TopicSettings).topic_prefix, load(ProductSettings).product
    if group is None and product is not None and access.grouped:
        group = group_of(product, access.name)
    if json:
        print_json([asdict(grant) for grant in grants(access, prefix, group)])
    else:
        typer.echo(script(access, prefix, group, principal), nl=False)
