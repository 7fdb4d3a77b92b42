"""Resources of the Strimzi operator say what topics and ACLs say, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from schemas.topics import ACCESS, TOPICS, TRANSACTIONS, Topic
from services.cli.app import app
from services.kafka.acls import GROUPS, grants
from services.kafka.strimzi import CLUSTER, DIRECTORY, StrimziError, granted, topic_manifests
from services.kafka.topics_admin import configuration
from services.settings.kafka import TopicSettings

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
USER_NAME_MAX = 64
"""A certificate's common name is no longer, and Strimzi refuses a user of a longer one."""
OPERATIONS = {"Read", "Write", "Describe", "DescribeConfigs"}

Manifest = dict[str, Any]


def kept(name: str) -> list[Manifest]:
    """A file of deploy/strimzi."""
    return list(yaml.safe_load_all((ROOT / DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8")))


def printed(monkeypatch: pytest.MonkeyPatch, *options: str, **environment: str) -> list[Manifest]:
    """What `assay strimzi` prints."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["strimzi", "--cluster", "bank", *options])
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.stdout))


def test_there_is_a_resource_for_each_topic_and_it_says_what_would_be_created() -> None:
    """Name, partitions, replicas, every configuration."""
    settings = TopicSettings(topic_prefix="", partitions=12, replication=3)
    topics = {manifest["spec"]["topicName"]: manifest for manifest in kept("topics")}
    assert list(topics) == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        spec = topics[topic.name]["spec"]
        assert spec == {
            "topicName": topic.name,
            "partitions": 12 if topic.partitions == "input" else 1,
            "replicas": 3,
            "config": configuration(topic, settings),
        }
        assert all(isinstance(value, str) for value in spec["config"].values())


def test_there_is_a_user_for_each_program_and_it_may_what_its_acls_allow() -> None:
    """Right by right: with a certificate of its own, and never on the cluster or on everything."""
    users = {manifest["metadata"]["name"]: manifest for manifest in kept("users")}
    assert list(users) == [f"assay-{access.name}" for access in ACCESS]
    for access in ACCESS:
        user = users[f"assay-{access.name}"]
        assert granted(user) == grants(access)
        assert user["spec"]["authentication"] == {"type": "tls"}
        assert user["spec"]["authorization"]["type"] == "simple"
        for acl in user["spec"]["authorization"]["acls"]:
            assert set(acl) == {"resource", "operations"}
            assert acl["resource"]["type"] in ("topic", "group", "transactionalId")
            assert acl["resource"]["patternType"] in ("literal", "prefix")
            assert acl["resource"]["name"]
            assert set(acl["operations"]) <= OPERATIONS


def test_every_resource_belongs_to_the_cluster_and_has_a_name_that_kubernetes_takes() -> None:
    """Strimzi finds its cluster by the label."""
    for manifest in [*kept("topics"), *kept("users")]:
        assert manifest["apiVersion"] == "kafka.strimzi.io/v1"
        assert manifest["kind"] in ("KafkaTopic", "KafkaUser")
        assert manifest["metadata"]["labels"]["strimzi.io/cluster"] == CLUSTER
        assert NAME.fullmatch(manifest["metadata"]["name"])


def test_another_product_has_topics_groups_and_users_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its name and the prefix, with the numbers that are set."""
    made = printed(monkeypatch, ASSAY_PRODUCT="transfers", ASSAY_TOPIC_PREFIX="Prod_", ASSAY_PARTITIONS="24")
    topics = {one["spec"]["topicName"]: one for one in made if one["kind"] == "KafkaTopic"}
    assert topics["Prod_transfers.scores"]["metadata"]["name"] == "prod-transfers.scores"
    assert topics["Prod_transfers.scores"]["spec"]["partitions"] == 24
    users = {one["metadata"]["name"]: one for one in made if one["kind"] == "KafkaUser"}
    assert len(users) == len(ACCESS)
    for access in ACCESS:
        name = f"assay-transfers-{access.name}"
        group = f"transfers.{access.group_of}" if access.group_of in GROUPS else None
        assert granted(users[name]) == grants(access, "Prod_transfers.", group)
        assert len(name) <= USER_NAME_MAX


def test_a_source_of_ones_own_stands_in_place_of_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its topic is made, and read by who reads it."""
    made = printed(monkeypatch, "--source", str(ROOT / "deploy/sources/rings.yaml"))
    scorer = next(one for one in made if one["metadata"]["name"] == "assay-scorer")
    read = {grant.name for grant in granted(scorer) if grant.operation == "DescribeConfigs"}
    names = [one["spec"]["topicName"] for one in made if one["kind"] == "KafkaTopic"]
    assert len(read) == 1
    assert read <= set(names)


@pytest.mark.parametrize(("only", "kind"), [("topics", "KafkaTopic"), ("users", "KafkaUser")])
def test_either_kind_can_be_had_alone(only: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where topics are made by the chart, or rights by another."""
    assert {one["kind"] for one in printed(monkeypatch, "--only", only)} == {kind}


def test_two_topics_of_one_resource_are_refused() -> None:
    """One of them would replace the other in silence."""
    like = Topic("SCORES", TRANSACTIONS.schema, "id", "a bank", None, users=True)
    with pytest.raises(StrimziError, match="would be one resource scores"):
        topic_manifests([next(topic for topic in TOPICS if topic.name == "scores"), like], TopicSettings(), "bank")
    with pytest.raises(StrimziError, match="cannot name a Kubernetes resource"):
        topic_manifests([Topic("a..b", TRANSACTIONS.schema, "id", "a bank", None, users=True)], TopicSettings(), "bank")
