"""A made-up stream for the tutorial: wallets that pay merchants, some of them from a fraudster's devices.

    python stream.py history.jsonl --days 24                       # labelled, to train on
    python stream.py --to wallet.payments --days 10 --seed 2       # sent to a topic, keyed by merchant, without labels

Nothing is odd about a fraud's amount. It shows where it comes from: a device that many wallets share, and an unusual country.
"""

import argparse
import asyncio
import json
import logging
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

WALLETS, MERCHANTS, FARM_DEVICES = 300, 60, 6
PAYMENTS_A_DAY = 4
FRAUD_SHARE = 0.02
ABROAD = ("CY", "MT", "VU")


def payments(days: int, seed: int) -> Iterator[dict[str, Any]]:
    """In order of time, up to now."""
    draw = random.Random(seed)
    countries = {f"m-{number}": draw.choice(("DE", "FR", "NL", "ES")) for number in range(MERCHANTS)}
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days, minutes=5)
    step = timedelta(days=1) / (WALLETS * PAYMENTS_A_DAY)
    for number in range(days * WALLETS * PAYMENTS_A_DAY):
        wallet, fraud = draw.randrange(WALLETS), draw.random() < FRAUD_SHARE
        merchant = f"m-{(wallet * 7 + draw.choice((0, 1, 2, draw.randrange(MERCHANTS)))) % MERCHANTS}"
        device = f"d-farm-{draw.randrange(FARM_DEVICES)}" if fraud else f"d-{wallet}-{draw.choice((0, 0, 0, 1))}"
        yield {
            "eventId": f"e-{seed}-{number}",
            "occurredAt": (start + number * step).isoformat().replace("+00:00", "Z"),
            "customer": {"wallet": f"w-{wallet}"},
            "merchant": {"id": merchant, "country": draw.choice(ABROAD) if fraud else countries[merchant]},
            "amount": {"value": f"{draw.lognormvariate(3, 0.8):.2f}", "currency": "EUR"},
            "device": {"id": device, "ip": f"10.{wallet % 250}.{draw.randrange(4)}.7"},
            "isFraud": fraud,
        }


async def send(found: list[dict[str, Any]], topic: str) -> None:
    """To Kafka, keyed by merchant, as many a system does it."""
    from aiokafka import AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    logging.getLogger("aiokafka").setLevel(
        logging.ERROR
    )  # it warns while a new topic's leaders are chosen, and tries again
    brokers = os.environ.get("ASSAY_KAFKA_BOOTSTRAP", "127.0.0.1:9092")  # as assay itself
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    if topic not in await admin.list_topics():
        # so that no record can be dated far ahead
        bounded = {"message.timestamp.after.max.ms": "3600000"}
        await admin.create_topics([NewTopic(topic, num_partitions=4, replication_factor=1, topic_configs=bounded)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=brokers)
    await producer.start()
    try:
        for payment in found:
            del payment["isFraud"]
            await producer.send(topic, json.dumps(payment).encode(), key=payment["merchant"]["id"].encode())
    finally:
        await producer.stop()


def main() -> None:
    """Write a file, or send to a topic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--to", metavar="TOPIC")
    parser.add_argument("--days", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = list(payments(options.days, options.seed))
    if options.to is not None:
        asyncio.run(send(found, options.to))
    elif options.file is not None:
        options.file.write_text("".join(json.dumps(payment) + "\n" for payment in found), encoding="utf-8")
    else:
        parser.error("name a file, or a topic with --to")


if __name__ == "__main__":
    main()
