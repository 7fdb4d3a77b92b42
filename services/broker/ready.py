"""Asks a node whether it serves, with the same client that the services use."""

import asyncio
import socket
import threading

from aiokafka.errors import KafkaError

from services.broker.config import HOST
from services.runtime.kafka import admin
from services.runtime.settings import KafkaSettings

ANSWER_TIMEOUT_S = 10.0


def brokers_seen(port: int) -> int:
    """How many brokers the node at this port knows of, itself included; 0 while it does not answer."""
    try:
        socket.create_connection((HOST, port), timeout=ANSWER_TIMEOUT_S).close()
    except OSError:
        return 0
    seen: list[int] = []
    # a thread, so that it also works where the caller's thread already runs an event loop
    asking = threading.Thread(target=lambda: seen.append(asyncio.run(_ask(port))))
    asking.start()
    asking.join()
    return seen[0]


async def _ask(port: int) -> int:
    client = admin(KafkaSettings(bootstrap=f"{HOST}:{port}", security_protocol="PLAINTEXT"))
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await client.start()
            return len((await client.describe_cluster())["brokers"])
    except (KafkaError, TimeoutError, OSError):
        return 0
    finally:
        await client.close()
