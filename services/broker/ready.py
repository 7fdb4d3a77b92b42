"""Asks a node whether it serves, with the same client that the services use."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiokafka.errors import KafkaError

from services.broker.config import HOST
from services.kafka.client import admin
from services.settings.kafka import KafkaSettings

ANSWER_TIMEOUT_S = 10.0


def brokers_seen(port: int) -> int:
    """How many brokers the node at this port knows of, itself included; 0 while it does not answer."""
    try:
        socket.create_connection((HOST, port), timeout=ANSWER_TIMEOUT_S).close()
    except OSError:
        return 0
    with ThreadPoolExecutor(1) as thread:  # so that it also works where the caller's thread runs an event loop
        return thread.submit(lambda: asyncio.run(_ask(port))).result()


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
