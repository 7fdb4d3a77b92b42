"""How the embedded Kafka is configured."""

import base64

from services.broker.config import new_cluster_id


def test_a_cluster_id_is_sixteen_random_bytes_and_never_an_option() -> None:
    """One in 64 would begin with a dash, and the start would fail that often."""
    made = [new_cluster_id() for _ in range(500)]
    assert len(set(made)) == len(made)
    assert {len(base64.urlsafe_b64decode(cluster_id + "==")) for cluster_id in made} == {16}
    assert not any(cluster_id.startswith("-") for cluster_id in made)
