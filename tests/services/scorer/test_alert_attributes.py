"""What people are shown with an alert: attributes marked so, in words, personal ones masked, never a card number."""

import json
from typing import Any

import pytest

from models.sources.parser import EventParser
from models.sources.spec_file import SourceSpecError, parse_source
from schemas.alert import ATTRIBUTES_SHOWN_MAX
from services.scorer.alert_attributes import HIDDEN, AlertAttributes

SPEC = """
version: 1
topic: mine
event:
  id: {path: id}
  time: {path: at, unit: ms}
  subject: {path: card}
  amount: {path: amount}
attributes:
  device: {type: id, path: device, show: true, description: Fingerprint of the device}
  payee_name: {type: text, path: payee, show: true, personal: true}
  opened: {type: time, path: opened, unit: ms, show: true}
  weight: {type: number, path: weight, unit: kg, show: true}
  present: {type: flag, path: present, show: true}
  where: {type: geo, latitude: lat, longitude: lon, show: true}
  memo: {type: text, path: memo, show: true, characters_max: 400}
  secret: {type: id, path: secret}
"""
SOURCE = parse_source(SPEC)
EVENT = {"id": "e-1", "at": 1_767_225_600_000, "card": "k1:3vq", "amount": 1, "secret": "s"}


def shown(**fields: Any) -> dict[str, str]:
    """Words and text of one event's attributes."""
    events = EventParser(SOURCE).batch([json.dumps(EVENT | fields).encode()])
    assert events is not None
    return {one.words: one.text for one in AlertAttributes(SOURCE).of(events, 0)}


def test_attributes_are_shown_in_words_and_only_those_marked() -> None:
    """Each type by its own unit; what an event lacks is left out."""
    full = {"device": "d-1", "opened": 0, "weight": "1234.5", "present": False, "lat": 54.7, "lon": 25.3}
    assert shown(**full) == {
        "Fingerprint of the device": "d-1",
        "opened": "1970-01-01 00:00:00 UTC",
        "weight": "1,234.5 kg",
        "present": "no",
        "where": "54.70000, 25.30000",
    }
    assert shown() == {}


def test_of_a_personal_attribute_only_the_end_is_shown() -> None:
    """Four characters, and never more than a third."""
    assert shown(payee="Maria Kowalska") == {"payee name": "***lska"}
    assert shown(payee="Bo") == {"payee name": "***"}


def test_a_card_number_is_never_shown_and_a_long_text_is_cut() -> None:
    """Wherever it stands in the text."""
    assert shown(memo="card 4111 1111 1111 1111 thanks") == {"memo": HIDDEN}
    assert shown(payee="4111111111111111") == {"payee name": HIDDEN}
    assert len(shown(memo="x" * 400)["memo"]) == 200


def test_assay_s_own_source_shows_nothing() -> None:
    """Its alerts are what they were."""
    events = EventParser(SOURCE).batch([json.dumps(EVENT).encode()])
    assert events is not None
    assert AlertAttributes(None).of(events, 0) == ()


def test_more_attributes_than_an_alert_has_room_for_are_refused() -> None:
    """Where the spec is read, not where an alert is written."""
    more = "".join(f"  x{i}: {{type: id, path: x{i}, show: true}}\n" for i in range(ATTRIBUTES_SHOWN_MAX))
    with pytest.raises(SourceSpecError, match="more than 16 attributes have show"):
        parse_source(SPEC + more)
