"""Rights on transactional ids: of a group's own partitions, and of no other group's."""

import pytest
from aiokafka import TopicPartition

from schemas.topics import ACCESS
from services.cli.operating.acls import Program
from services.kafka.acls import grants


@pytest.mark.parametrize("name", [access.name for access in ACCESS if access.transactional])
def test_a_group_of_a_like_name_is_not_covered(name: str) -> None:
    """`team` may not fence the producers of `team-eu`, which end their transactions."""
    access = next(access for access in ACCESS if access.name == name)
    allowed = [grant.name for grant in grants(access, "prod.", "team") if grant.resource == "transactional-id"]
    for topic in access.grouped:
        source = TopicPartition(topic.full_name("prod."), 11)
        # as services/engine/delivery.py makes them
        own, others = (f"assay-{group}-{source.topic}-{source.partition}" for group in ("team", "team-eu"))
        assert any(own.startswith(prefix) for prefix in allowed)
        assert not any(others.startswith(prefix) for prefix in allowed)


def test_who_scales_by_lag_reads_nothing() -> None:
    """It asks where the scorers' group stands, and where the topics end."""
    allowed = grants(next(access for access in ACCESS if access.name == "autoscaler"), "prod.", "cards.scorer")
    assert {grant.operation for grant in allowed} == {"Describe"}
    assert [grant.name for grant in allowed if grant.resource == "group"] == ["cards.scorer"]
    assert "prod.transactions" in {grant.name for grant in allowed}


def test_every_program_of_ours_can_be_asked_for() -> None:
    """`assay acls` knows all that have rights."""
    assert {program.value for program in Program} == {access.name for access in ACCESS}
