"""Personal attributes of alerts and cases, sealed per subject: the end that people are shown is erased with the subject."""

import asyncio
import json
from pathlib import Path

import pytest

from models.bundle.keys import SealKey
from models.sources.parser import EventParser
from models.sources.spec_file import parse_source
from schemas import codec
from schemas.alert import Alert, ShownAttribute
from schemas.case import Case
from services.errors import AssayError
from services.privacy.sealed_attributes import SEALED_WORDS, SealedFor, opened_alert, opened_case
from services.privacy.subject_keys import SubjectKeys
from services.scorer.alert_attributes import AlertAttributes
from services.storage import Directory
from tests.services.cases.test_desk import at, desk, stored
from tests.services.cases.test_stream import alert

SOURCE = parse_source("""
version: 1
topic: mine
event:
  id: {path: id}
  time: {path: at, unit: ms}
  subject: {path: card}
  amount: {path: amount}
attributes:
  payee: {type: text, path: payee, show: true, personal: true}
  device: {type: id, path: device, show: true}
""")
EVENT = {"id": "tx-a-0", "at": 1_767_225_600_000, "card": "a", "amount": 1, "payee": "Maria Kowalska", "device": "d-1"}
END = "***lska"


@pytest.fixture
def keys(tmp_path: Path) -> SubjectKeys:
    """Over an empty directory."""
    return SubjectKeys(SealKey(b"m" * 32), Directory(tmp_path))


@pytest.fixture
def written(keys: SubjectKeys) -> bytes:
    """An alert of card `a` as it lies on the topic."""
    events = EventParser(SOURCE).batch([json.dumps(EVENT).encode()])
    assert events is not None
    key = asyncio.run(keys.of(["a"]))["a"]
    shown = AlertAttributes(SOURCE).of(events, 0, SealedFor(key, keys.master_id, "tx-a-0"))
    given = [json.loads(codec.encode(one)) for one in shown]
    fields = alert(0, "a").model_dump(mode="json") | {"attributes": given}
    return json.dumps(fields).encode()


def texts(attributes: tuple[ShownAttribute, ...]) -> dict[str, str]:
    """Name and text."""
    return {one.name: one.text for one in attributes}


def test_once_a_subject_is_erased_nothing_personal_of_its_alerts_and_cases_can_be_read(
    written: bytes, keys: SubjectKeys
) -> None:
    """On the topic the text is sealed from the first; what is not personal stays in clear."""
    assert b"***" not in written
    found = codec.read(Alert, written)
    assert texts(found.attributes) == {"payee": SEALED_WORDS, "device": "d-1"}
    one = desk()
    one.alert(codec.decoder(Alert)(written), at(0))
    assert b"***" not in b"".join(one.cases.values())
    case = stored(one)["0-0"]

    opened = opened_alert(found, keys)
    assert (opened.was, texts(opened.alert.attributes)) == ("opened", {"payee": END, "device": "d-1"})
    assert texts(opened_case(case, keys).listed[0].attributes)["payee"] == END

    assert keys.erase("a")
    assert opened_alert(found, keys).was == "erased"
    for closed in (opened_alert(found, keys).alert, opened_case(case, keys)):
        assert "lska" not in closed.model_dump_json()
    # a later key of the same card opens nothing of before
    asyncio.run(keys.of(["a"]))
    assert opened_alert(found, keys).was == "erased"


def test_a_sealed_attribute_opens_only_where_it_was_written(written: bytes, keys: SubjectKeys) -> None:
    """Not in another payment's alert, under another name, or changed; another master key is said."""
    found = codec.read(Alert, written)
    (payee,) = (one for one in found.attributes if one.sealed)
    moved = found.model_copy(update={"transaction_id": "tx-a-1"})
    renamed = found.model_copy(update={"attributes": (payee.model_copy(update={"name": "device"}),)})
    assert {opened_alert(one, keys).was for one in (moved, renamed)} == {"changed"}
    with pytest.raises(AssayError, match="set the other one"):
        opened_alert(found, SubjectKeys(SealKey(b"n" * 32), keys._salts))


def test_without_a_key_alerts_are_what_they_were() -> None:
    """The masked end in clear, and no field more."""
    events = EventParser(SOURCE).batch([json.dumps(EVENT).encode()])
    assert events is not None
    shown = AlertAttributes(SOURCE).of(events, 0)
    assert [json.loads(codec.encode(one)) for one in shown] == [
        {"name": "payee", "words": "payee", "text": END},
        {"name": "device", "words": "device", "text": "d-1"},
    ]


def test_a_case_of_before_reads_as_it_did(keys: SubjectKeys) -> None:
    """Its attributes have no sealed part."""
    one = desk()
    shown = (ShownAttribute(name="payee", words="payee", text=END),)
    one.alert(codec.decoder(Alert)(codec.write(alert(0, "a", attributes=shown))), at(0))
    case: Case = stored(one)["0-0"]
    assert opened_case(case, keys) == case
