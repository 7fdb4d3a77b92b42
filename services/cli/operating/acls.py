"""`assay acls`: what each program must be allowed to do, for the administrator."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import print_json

if TYPE_CHECKING:
    from schemas.source_spec import SourceSpec
    from schemas.topics import Access

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
    CREDIT_MONITOR = "credit-monitor"
    GATEWAY = "gateway"
    CONSOLE = "console"
    ANALYST = "analyst"
    PROMOTIONS = "promotions"
    OPERATOR = "operator"
    CREDIT_OPERATOR = "credit-operator"
    UNMASKING = "unmasking"
    AUDITOR = "auditor"
    AUTOSCALER = "autoscaler"
    PAYMENT_PRODUCER = "payment-producer"
    LABEL_PRODUCER = "label-producer"
    APPLICATION_PRODUCER = "application-producer"
    CREDIT_LABEL_PRODUCER = "credit-label-producer"
    CONSUMER = "consumer"


READ_A_SOURCE = (Program.INTAKE, Program.SCORER, Program.ENTITIES)


def access_reading(access: "Access", spec: "SourceSpec") -> "Access":
    """The same with the topic that it reads of a source; as it is where it reads none."""
    from dataclasses import replace

    from models.sources.spec_file import topic_of, users_topic

    if access.name not in READ_A_SOURCE:
        return access
    own = users_topic(spec) if access.name == Program.INTAKE else topic_of(spec)
    return replace(access, grouped=(own, *access.grouped[1:]) if access.name == Program.ENTITIES else (own,))


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
    from models.sources.spec_file import load_source
    from schemas.topics import ACCESS
    from services.kafka.acls import grants, script
    from services.settings.kafka import TopicSettings
    from services.settings.loading import load
    from services.settings.product import ProductSettings, group_of

    access = next(access for access in ACCESS if access.name == program)
    if source is not None:
        if program not in READ_A_SOURCE:
            raise typer.BadParameter(
                "only intake, entities and the scorer read a topic by a source spec.", param_hint="--source"
            )
        access = access_reading(access, load_source(source))
    prefix, product = load(TopicSettings).topic_prefix, load(ProductSettings).product
    if group is None and product is not None and access.group_of:
        group = group_of(product, access.group_of)
    if json:
        print_json([asdict(grant) for grant in grants(access, prefix, group)])
    else:
        typer.echo(script(access, prefix, group, principal), nl=False)
