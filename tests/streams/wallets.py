"""A wallet's stream of transfers: flat, epoch seconds, whole minor units, refunds negative, keyed by the transfer itself."""

import json
from typing import Any

from tests.streams.behaviour import Fact

ANSWERS = ("--subject", "wallet", "--counterparty", "to_wallet")
"""What `assay init` has to be told: both sides are wallets."""

REFUNDS = 20

SCHEMA = {
    "type": "record",
    "name": "Transfer",
    "namespace": "wallets.v1",
    "fields": [
        {"name": "transfer_ref", "type": "string"},
        {"name": "ts", "type": "long"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["P2P", "SHOP", "REFUND"]}},
        {"name": "wallet", "type": "string"},
        {"name": "wallet_country", "type": "string"},
        {"name": "to_wallet", "type": "string"},
        {"name": "bank_country", "type": "string"},
        {"name": "amount_minor", "type": "long"},
        {"name": "ccy", "type": "string"},
        {"name": "handset", "type": "string"},
        {"name": "client_ip", "type": "string"},
        {"name": "app_build", "type": ["null", "int"]},
    ],
}
"""Avro's."""


def document(fact: Fact, *, labelled: bool) -> dict[str, Any]:
    """The record of a transfer."""
    refund = fact.number % REFUNDS == 0
    return {
        "transfer_ref": f"tr-{fact.number:08d}",
        "ts": fact.time_ms // 1_000,
        "kind": "REFUND" if refund else ("P2P", "SHOP")[fact.number % 2],
        "wallet": f"w-{fact.subject:07d}",
        "wallet_country": fact.home,
        "to_wallet": f"w-{9_000_000 + fact.other}",
        "bank_country": fact.country,
        "amount_minor": -fact.cents if refund else fact.cents,
        "ccy": "EUR",
        "handset": fact.device,
        "client_ip": fact.address,
        "app_build": None if fact.number % 9 == 0 else 410 + fact.number % 4,
        **({"reported_fraud": fact.fraud} if labelled else {}),
    }


def key(fact: Fact) -> bytes:
    """Of its record: the transfer, so that a wallet's transfers lie on all partitions."""
    return f"tr-{fact.number:08d}".encode()


def records(facts: list[Fact], *, labelled: bool) -> list[tuple[bytes, bytes]]:
    """Key and value of each record, as JSON."""
    return [(key(fact), json.dumps(document(fact, labelled=labelled)).encode()) for fact in facts]


def number_of(event_id: str) -> int:
    """Of the transfer with this id."""
    return int(event_id.split("-")[1])
