"""What is asked before the work: of brokers that lose commits, and of those that do not. Rights: ../test_secured.py."""

from types import SimpleNamespace

from services.kafka.client import admin
from services.kafka.preflight import DESCRIBE_LOG_DIRS, READ, UNDISCLOSED, WRITE, allows, may_forget_commits
from services.settings.kafka import KafkaSettings


async def test_the_brokers_that_we_ship_are_not_warned_of(kafka_bootstrap: str) -> None:
    """Asked of a real one, whose answer names the API that the warning looks at."""
    client = admin(KafkaSettings(bootstrap=kafka_bootstrap))
    await client.start()
    try:
        await client.list_topics()
        assert not may_forget_commits(client)
        assert all(DESCRIBE_LOG_DIRS in connected._versions for connected in client._client._conns.values())
        assert client._client._conns
    finally:
        await client.close()


def test_brokers_of_the_versions_that_lose_a_commit_are_warned_of() -> None:
    """As 4.3.1 answers; older ones end at 4, and very old ones may not have the API."""
    answers = {5: True, 6: True, 4: False}
    for newest, unsound in answers.items():
        assert may_forget_commits(brokers({DESCRIBE_LOG_DIRS: (1, newest)})) is unsound
    assert not may_forget_commits(brokers({}))


def brokers(versions: dict[int, tuple[int, int]]) -> SimpleNamespace:
    """A client that has met one broker."""
    return SimpleNamespace(_client=SimpleNamespace(_conns={1: SimpleNamespace(_versions=versions)}))


def test_rights_that_a_broker_does_not_work_out_are_unknown_and_not_refused() -> None:
    """KIP-430: INT_MIN stands in an answer whose broker did not fill them in."""
    assert all(allows(UNDISCLOSED, operation) for operation in (READ, WRITE))
    assert allows(1 << READ, READ)
    assert not allows(1 << READ, WRITE)
    assert not allows(0, READ)
