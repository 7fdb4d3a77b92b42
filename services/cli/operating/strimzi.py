"""`assay strimzi`: topics and rights as resources of the Strimzi operator."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: ASSAY_PARTITIONS=12 ASSAY_REPLICATION=3 assay strimzi --cluster bank | kubectl --namespace kafka apply -f -"


class Kind(StrEnum):
    """Which of them."""

    TOPICS = "topics"
    USERS = "users"


def strimzi(
    cluster: Annotated[str, typer.Option(help="Name of the `Kafka` resource.")],
    only: Annotated[Kind | None, typer.Option(help="topics: KafkaTopic. users: KafkaUser. Default: both.")] = None,
    source: Annotated[
        Path | None, typer.Option(help="Source spec: its topic, named whole, in place of `transactions`.")
    ] = None,
) -> None:
    """Print KafkaTopic and KafkaUser resources, in place of `assay topics create` and `assay acls`.

    ASSAY_PARTITIONS, ASSAY_REPLICATION, ASSAY_TOPIC_PREFIX, ASSAY_PRODUCT and ASSAY_OUTPUT_FORMAT apply. No cluster is asked.
    """
    from models.sources.spec_file import load_source
    from schemas.topics import ACCESS, Access
    from services.cli.operating.acls import access_reading
    from services.cli.operating.topics import wanted_topics, with_users
    from services.kafka.strimzi import text, topic_manifests, user_manifest
    from services.settings.kafka import TopicSettings
    from services.settings.loading import load
    from services.settings.product import ProductSettings

    settings, product = load(TopicSettings), load(ProductSettings).product
    accesses: tuple[Access, ...] = ACCESS
    spec = None if source is None else load_source(source)
    if spec is not None:
        accesses = tuple(access_reading(access, spec) for access in ACCESS)
    topics = topic_manifests(with_users(wanted_topics(), spec), settings, cluster)
    users = [user_manifest(access, cluster, settings.topic_prefix, product) for access in accesses]
    typer.echo(
        text([*(topics if only is not Kind.USERS else ()), *(users if only is not Kind.TOPICS else ())]), nl=False
    )
