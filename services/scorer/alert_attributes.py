"""The attributes of an event that people are shown with its alert: those that the source spec marks, in words."""

import math
from datetime import UTC, datetime
from typing import Any

from models.sources.events import Events
from schemas import codec
from schemas.alert import ShownAttribute
from schemas.feature_kinds.base import number_words
from schemas.privacy import card_numbers_in
from schemas.source_spec import BaseAttribute, FlagAttribute, GeoAttribute, NumberAttribute, SourceSpec, TimeAttribute
from services.privacy.sealed_attributes import SEALED_WORDS, SealedFor

TEXT_MAX = 200
HIDDEN = "not shown: it holds a card number"
MASKED_MAX = 4
"""Of a personal attribute: so many characters at its end, and never more than a third of it."""


class AlertAttributes:
    """Made once of a source spec."""

    def __init__(self, source: SourceSpec | None) -> None:
        """source: None for Assay's own, which has no attributes."""
        found = source.attributes.items() if source is not None else ()
        self._shown = [(name, attribute) for name, attribute in found if attribute.show]
        self._record: type[ShownAttribute] = codec.record_type(ShownAttribute, frozenset({"sealed"}))

    def of(self, events: Events, row: int, sealing: SealedFor | None = None) -> tuple[ShownAttribute, ...]:
        """Those that one event has. sealing: for whom what is personal is sealed; without it stays as it is."""
        return tuple(
            self._shown_as(name, attribute, _safe(text, attribute), sealing)
            for name, attribute in self._shown
            if (text := _text(events, name, attribute, row))
        )

    def _shown_as(self, name: str, attribute: BaseAttribute, text: str, sealing: SealedFor | None) -> ShownAttribute:
        words = attribute.description or name.replace("_", " ")
        if sealing is None or not attribute.personal:
            return self._record(name=name, words=words, text=text)
        return self._record(name=name, words=words, text=SEALED_WORDS, sealed=sealing.text(name, text))


def _safe(text: str, attribute: BaseAttribute) -> str:
    """Without a card number, and of what is personal only the end."""
    if card_numbers_in(text):
        return HIDDEN
    if attribute.personal:
        return "***" + text[len(text) - min(MASKED_MAX, len(text) // 3) :]
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _text(events: Events, name: str, attribute: BaseAttribute, row: int) -> str:
    """The value in words; empty where the event has none."""
    if isinstance(attribute, GeoAttribute):
        latitude, longitude = (float(events.column(f"{name}.{side}")[row]) for side in ("latitude", "longitude"))
        return "" if math.isnan(latitude) else f"{latitude:.5f}, {longitude:.5f}"
    value: Any = events.column(name)[row]
    if value is None or isinstance(value, str):
        return value or ""
    number = float(value)
    if math.isnan(number):
        return ""
    if isinstance(attribute, FlagAttribute):
        return "yes" if number else "no"
    if isinstance(attribute, TimeAttribute):
        return datetime.fromtimestamp(number / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    unit = attribute.unit if isinstance(attribute, NumberAttribute) else None
    return f"{number_words(number)} {unit}" if unit else number_words(number)
