"""Three brokers behind one proxy each: replication 3, two in-sync replicas."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from services.broker.config import HOST, free_port
from services.broker.node import Node
from services.broker.server import EmbeddedKafka
from tests.chaos.proxy import Proxy

BROKERS = 3

PROPERTIES = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}
"""Shorter than Kafka's 10 s, so that more faults fit into a minute. Loosens no guarantee."""


class ProxiedKafka(EmbeddedKafka):
    """The embedded Kafka with a second listener, whose advertised address is a proxy's."""

    def __init__(self, log_file: Path | None, heap_mb: int = 320) -> None:
        super().__init__(BROKERS, heap_mb=heap_mb, properties=PROPERTIES, log_file=log_file)
        self.proxy_ports = [free_port() for _ in range(BROKERS)]
        self.behind_ports = [free_port() for _ in range(BROKERS)]

    def _make_nodes(self) -> list[Node]:
        nodes = super()._make_nodes()
        for node, proxy_port, behind_port in zip(nodes, self.proxy_ports, self.behind_ports, strict=True):
            direct, controller = f"PLAINTEXT://{HOST}:{node.port}", f"CONTROLLER://{HOST}:{node.controller_port}"
            with node.properties_file.open("a") as file:  # of a name that stands twice, the last counts
                file.write(f"listeners={direct},{controller},CLIENT://{HOST}:{behind_port}\n")
                file.write(f"advertised.listeners={direct},CLIENT://{HOST}:{proxy_port}\n")
                file.write("listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:PLAINTEXT\n")
        return nodes


class Cluster:
    """Brokers and proxies. `direct`: the brokers themselves; `proxied`: through the proxies. logs: where the brokers' go."""

    def __init__(self, logs: Path | None = None) -> None:
        self.kafka = ProxiedKafka(logs / "kafka.log" if logs else None)
        self.proxies: list[Proxy] = []
        self.turn = asyncio.Lock()
        """Held while a broker is down: two of three must stay."""

    @property
    def direct(self) -> str:
        """Bootstrap addresses of the brokers."""
        return self.kafka.bootstrap

    @property
    def proxied(self) -> str:
        """Bootstrap addresses of the proxies."""
        return ",".join(f"{HOST}:{port}" for port in self.kafka.proxy_ports)

    def heal(self) -> None:
        """Every way is free again."""
        for proxy in self.proxies:
            proxy.heal()

    async def kill(self, index: int) -> None:
        """SIGKILL a broker."""
        await asyncio.to_thread(self.kafka.kill_node, index)

    async def start_again(self, index: int) -> None:
        """Start a killed broker and wait until it answers."""
        await asyncio.to_thread(self.kafka.start_node, index)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.kafka.start)
        for port, behind in zip(self.kafka.proxy_ports, self.kafka.behind_ports, strict=True):
            proxy = Proxy(port, behind)
            await proxy.start()
            self.proxies.append(proxy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in self.proxies:
            await proxy.close()
        await asyncio.to_thread(self.kafka.stop)
