"""A card acquirer's stream: nested JSON, ISO times, decimal strings, keyed by merchant, other messages between."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.streams.behaviour import Fact

ENQUIRIES = 25
"""One message in so many is no payment."""

ANSWERS: tuple[str, ...] = ()
"""What `assay init` has to be told."""

ZONE = timezone(timedelta(hours=2))


def document(fact: Fact, *, labelled: bool) -> dict[str, Any]:
    """The message of a payment."""
    moment = datetime.fromtimestamp(fact.time_ms / 1_000, UTC).astimezone(ZONE)
    return {
        "messageType": "AUTHORISATION",
        "event": {
            "uuid": f"a1-{fact.number:08d}-{fact.subject:06x}",
            "occurredAt": moment.isoformat(timespec="milliseconds"),
        },
        "account": {"token": f"k1:{fact.subject:07d}q", "country": fact.home},
        "merchant": {"id": f"m-{fact.other:03d}", "country": fact.country, "name": f"Shop {fact.other}"},
        "amount": {"value": f"{fact.cents / 100:.2f}", "currency": "EUR"},
        "device": {"fingerprint": fact.device, "ip": fact.address},
        "entryMode": ("chip", "contactless", "ecommerce")[fact.number % 3],
        **({"isFraud": fact.fraud} if labelled else {}),
    }


def key(fact: Fact) -> bytes:
    """Of its record: the merchant, so that an account's payments lie on all partitions."""
    return f"m-{fact.other:03d}".encode()


def records(facts: list[Fact], *, labelled: bool) -> list[tuple[bytes, bytes]]:
    """Key and value of each record, enquiries about balances among them."""
    found = []
    for fact in facts:
        message = document(fact, labelled=labelled)
        found.append((key(fact), json.dumps(message).encode()))
        if fact.number % ENQUIRIES == 0:
            enquiry = {name: message[name] for name in ("event", "account", "merchant", "device", "entryMode")}
            enquiry["event"] = {**enquiry["event"], "uuid": f"b{fact.number}"}
            found.append((key(fact), json.dumps({"messageType": "BALANCE", **enquiry}).encode()))
    return found


def number_of(event_id: str) -> int:
    """Of the payment with this id."""
    return int(event_id.split("-")[1])
