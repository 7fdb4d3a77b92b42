"""Kafka's own settings for a laptop: loopback only, small internal topics, no waiting for members that never come."""

import base64
import random
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.broker.node import Node
from services.errors import AssayError

HOST = "127.0.0.1"
FREE_PORTS = range(20_000, 32_000)
"""Below those that Linux and macOS give to outgoing connections, so that a free one stays free until Java has it."""
PORT_ATTEMPTS_MAX = 1000
INTERNAL_PARTITIONS = 8


def free_port() -> int:
    """A TCP port on loopback that no one listens on. Raises AssayError."""
    for _ in range(PORT_ATTEMPTS_MAX):
        port = random.choice(FREE_PORTS)
        if port_is_free(port):
            return port
    raise AssayError(f"No free port between {FREE_PORTS.start} and {FREE_PORTS.stop} was found for the embedded Kafka.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def new_cluster_id() -> str:
    """A random id, base64 as Kafka wants it; never with a leading dash, which its command line takes for an option."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


@dataclass(frozen=True, slots=True)
class Listener:
    """One more listener, with its own protection, on the first node. protocol: SSL, SASL_SSL or SASL_PLAINTEXT."""

    name: str
    port: int
    protocol: str


def server_properties(
    node: Node, nodes: Sequence[Node], extra: Mapping[str, str], listeners: Sequence[Listener] = ()
) -> str:
    """The text of `server.properties` (KRaft, combined broker and controller)."""
    doors = [f"PLAINTEXT://{HOST}:{node.port}", *(f"{door.name}://{HOST}:{door.port}" for door in listeners)]
    protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{door.name}:{door.protocol}" for door in listeners)]
    replication = str(min(3, len(nodes)))
    in_sync_min = str(max(1, int(replication) - 1))
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(node.index + 1),
        "controller.quorum.voters": ",".join(f"{n.index + 1}@{HOST}:{n.controller_port}" for n in nodes),
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join([*doors, f"CONTROLLER://{HOST}:{node.controller_port}"]),
        "advertised.listeners": ",".join(doors),
        "listener.security.protocol.map": ",".join(protocols),
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(node.directory / "log"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replication,
        "min.insync.replicas": in_sync_min,
        "offsets.topic.num.partitions": str(INTERNAL_PARTITIONS),
        "offsets.topic.replication.factor": replication,
        "transaction.state.log.num.partitions": str(INTERNAL_PARTITIONS),
        "transaction.state.log.replication.factor": replication,
        "transaction.state.log.min.isr": in_sync_min,
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": replication,
        "share.coordinator.state.topic.min.isr": in_sync_min,
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",  # 6 s by default: so long a killed process keeps its partitions
        "log.cleaner.dedupe.buffer.size": str(16 << 20),  # 128 MiB of heap by default, too much of 512
        **extra,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())
