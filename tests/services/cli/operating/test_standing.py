"""What the doctor says of partitions that do not move."""

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from schemas.topics import ENTITY_EVENTS, TRANSACTIONS
from services.cli.operating import standing


class Cluster:
    """One that has just started: it makes its offsets topic when the first group is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def start(self) -> None:
        """At once."""

    async def close(self) -> None:
        """At once."""

    async def list_consumer_group_offsets(self, group: str) -> dict[str, object]:
        """None yet."""
        self.asked.append(group)
        if len(self.asked) == 1:
            raise GroupCoordinatorNotAvailableError
        return {}


async def test_a_cluster_that_has_no_groups_yet_is_waited_for_and_each_group_is_named_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A first `assay doctor` asks before anything has committed."""
    cluster = Cluster()
    monkeypatch.setattr(standing, "admin", lambda _: cluster)
    read = [("scorer", TRANSACTIONS), ("entities", TRANSACTIONS), ("entities", ENTITY_EVENTS)]
    monkeypatch.setattr(standing, "inputs", lambda: read)
    assert await standing.held_partitions() == "none of the groups scorer, entities"
    assert cluster.asked == ["scorer", "scorer", "entities"]
