"""Which of a topic's records are due an event: by envelope, format and source spec."""

import json

import pytest

from models.sources.spec_file import parse_source
from services.formats import open_reader
from services.settings.schema_registry import SchemaRegistrySettings
from services.verification import meant
from services.verification.meant import Meant
from services.verification.read import VerificationError
from tests.services.formats.documents import Record
from tests.streams import ledger
from tests.streams.behaviour import facts

SPEC = """
version: 1
topic: entries
{form}
select:
  - {{not: {{path: __op, equals: u}}}}
event:
  id: {{join: [branch_no, entry_no]}}
  time: {{path: booked_at, unit: us}}
  subject: {{path: account_ref}}
  amount: {{path: amount_minor, scale: 2}}
"""


async def test_later_changes_deletions_and_tombstones_are_due_nothing_and_what_cannot_be_read_is() -> None:
    """By Debezium's envelope and the spec's `select`, as intake passes them over."""
    spec = parse_source(SPEC.format(form="format: json\nenvelope: debezium"))
    reader = open_reader(spec, SchemaRegistrySettings(url=None), 1 << 16)
    values = [value for _, value in ledger.records(facts(4, subjects=10, rounds=8), labelled=False)]
    found = await Meant(spec, reader).of([Record(v, offset=o) for o, v in enumerate([*values, None, b"{", b"[]"])])
    created = [offset for offset, value in enumerate(values) if json.loads(value)["op"] == "c"]
    assert 0 < len(created) < len(values)
    assert [each.offset for each in found] == [*created, len(values) + 1, len(values) + 2]


async def test_a_schema_registry_that_does_not_answer_ends_it_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which records are events cannot be known without it."""
    monkeypatch.setattr(meant, "STALL_S_MAX", 0.5)
    spec = parse_source(SPEC.format(form="format: avro"))
    reader = open_reader(spec, SchemaRegistrySettings(url="http://127.0.0.1:9"), 1 << 16)
    with pytest.raises(VerificationError, match="entries cannot be read: no schema registry answers"):
        await Meant(spec, reader).of([Record(b"\0\0\0\0\1x")])
    await reader.close()
