"""A bank's ledger as its database's changes: Debezium around each row, epoch microseconds, minor units of several currencies.

An entry has no id but its branch and its number there; refunds are positive and say so in a column; devices are a list; rows
are changed and deleted afterwards.
"""

import json
from typing import Any

from tests.streams.behaviour import Fact

ANSWERS: tuple[str, ...] = (
    "--id", "branch_no,entry_no",
    "--amount-scale", "currency",
    "--refunds", "side=CREDIT_REVERSAL",
    "--rates", "SEK=0.09,JPY=0.006",
)  # fmt: skip
"""What `assay init` has to be told."""

CURRENCIES = {"EUR": 1.0, "SEK": 11.0, "JPY": 1.6}
"""Minor units for a cent of a euro: yen have none, so theirs are whole yen."""

BRANCHES = 17
SETTLED, REVERSED, DELETED = 6, 20, 40
"""One row in so many is changed once more, is a refund, is deleted later."""


def currency_of(fact: Fact) -> str:
    """An account's own."""
    return list(CURRENCIES)[fact.subject % 5 % 3]


def row(fact: Fact, *, labelled: bool) -> dict[str, Any]:
    """The row of a payment."""
    code = currency_of(fact)
    return {
        "branch_no": f"{fact.number % BRANCHES:04d}",
        "entry_no": fact.number // BRANCHES,
        "booked_at": fact.time_ms * 1_000 + fact.number % 1_000,
        "account_ref": f"acc-{fact.subject:07d}",
        "account_country": fact.home,
        "beneficiary_ref": f"ben-{fact.other:03d}",
        "beneficiary_country": fact.country,
        "amount_minor": round(fact.cents * CURRENCIES[code]),
        "ccy": code,
        "side": "CREDIT_REVERSAL" if fact.number % REVERSED == 0 else "DEBIT",
        "state": "BOOKED",
        "devices": [{"fingerprint": fact.device, "model": f"m{fact.number % 5}"}, {"fingerprint": "gateway"}],
        "origin": {"ip": fact.address},
        **({"confirmed_fraud": fact.fraud} if labelled else {}),
    }


def change(op: str, before: dict[str, Any] | None, after: dict[str, Any] | None, at_ms: int) -> bytes:
    """A record of Debezium's."""
    source = {
        "version": "3.1",
        "connector": "postgresql",
        "name": "core",
        "ts_ms": at_ms,
        "table": "entries",
        "lsn": at_ms,
    }
    return json.dumps({"before": before, "after": after, "source": source, "op": op, "ts_ms": at_ms + 40}).encode()


def records(facts: list[Fact], *, labelled: bool) -> list[tuple[bytes, bytes]]:
    """Key and value of each change, as they come out of the log of the database."""
    found = []
    for fact in facts:
        made = row(fact, labelled=labelled)
        key = json.dumps({name: made[name] for name in ("branch_no", "entry_no")}).encode()
        found.append((key, change("c", None, made, fact.time_ms)))
        if fact.number % SETTLED == 0:
            found.append((key, change("u", made, {**made, "state": "SETTLED"}, fact.time_ms + 9_000)))
        if fact.number % DELETED == 0:
            found.append((key, change("d", made, None, fact.time_ms + 12_000)))
    return found


def number_of(event_id: str) -> int:
    """Of the entry with this id."""
    branch, entry = event_id.split("/")
    return int(entry) * BRANCHES + int(branch)
