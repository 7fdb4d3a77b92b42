"""Lists of values that policies look up: denied, allowed, watched. On `lists`: of the records of one entry the newest counts.

An entry is never deleted but taken back by a record that says so (`removed`), so that who did it, and why, stays.
"""

import ipaddress
import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Count, EventTimeMs, Message
from schemas.person import SignedStep
from schemas.privacy import card_numbers_in, has_control_character, is_card_number, none_is_card_number

EntryKind = Literal["value", "network", "range"]
Purpose = Literal["deny", "allow", "watch"]

ANY_FIELD = "*"
"""An entry of this field counts whatever column a rule looks up."""

SUBJECT_FIELDS = ("card_id", ANY_FIELD)
"""Fields that hold pseudonyms, where no number that could be a card's is taken."""

RANGE_MARK = ".."
CARD_NUMBER_WORDS = "{} holds a card number: name the card by its pseudonym, see `assay privacy pseudonyms`"

ListName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", max_length=32)]
"""Name of a list, as rules write it."""

FieldName = Annotated[str, Field(pattern=r"^(\*|[A-Za-z_][A-Za-z0-9_.-]{0,63})$", max_length=64)]
"""Name of a field or attribute of the event, or `*`."""

EntryValue = Annotated[str, Field(min_length=1, max_length=256)]
"""The value, the network, or the range, as text."""


class EntryProof(Message):
    """That persons signed an entry: the statement that they signed names the root of a tree, in which the entry is."""

    signed: SignedStep = Field(description="The statement, with the signatures.")
    place: Count = Field(description="The entry's place among those that were signed together, from 0.")
    count: Count = Field(description="How many were.")
    path: Annotated[str, Field(max_length=1_400)] = Field("", description="Hashes from the entry to the root, base64.")


class ListEntry(Message):
    """One entry of a list, or that it is taken back."""

    list_name: ListName = Field(description="Which list.")
    field: FieldName = Field(description="The field or attribute whose values it is about; * for any.")
    kind: EntryKind = Field(
        description="value: this text alone. network: every address of this prefix. range: numbers from..to, both included."
    )
    value: EntryValue = Field(description="The value, the prefix as 10.0.0.0/8, or the range as 1..5, 1.. or ..5.")
    purpose: Purpose = Field(
        "watch", description="What the list is for, for people: a policy's rules say what it does."
    )
    expires_at_ms: EventTimeMs | None = Field(
        None, description="It counts for events before this time, ms since 1970 UTC. Without it, for all."
    )
    reason: Annotated[str, Field(max_length=500)] = Field("", description="Why.")
    by: Annotated[str, Field(max_length=100)] = Field("", description="Who.")
    source: Annotated[str, Field(max_length=200)] = Field("", description="From where: a command, a file, a case.")
    batch: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Import that wrote it, by which the whole of it can be taken back."
    )
    written_at_ms: EventTimeMs = Field(0, description="When, ms since 1970 UTC.")
    removed: bool = Field(False, description="It is taken back, and counts no more.")
    proof: EntryProof | None = Field(
        None,
        description="Persons' signatures, without which it does not count where ASSAY_PERSONS_SIGNATURES_MIN asks.",
    )


def entry_key(entry: ListEntry) -> bytes:
    """The record's key: what is compacted to one, and the identity of an entry."""
    return key_of(entry.list_name, entry.field, entry.kind, entry.value)


def key_of(list_name: str, field: str, kind: str, value: str) -> bytes:
    """The same from its parts; no part but the last can hold a slash."""
    return f"{list_name}/{field}/{kind}/{value}".encode()


def parts_of(key: bytes) -> tuple[str, str, str, str]:
    """List, field, kind and value of a key. Raises ValueError."""
    list_name, field, kind, value = key.decode().split("/", 3)
    return list_name, field, kind, value


def entry_problem(entry: ListEntry) -> str | None:
    """Why an entry cannot be taken, in words without its value; None where it can. Holds for writers and readers alike."""
    if entry.kind == "value" and (entry.value != entry.value.strip() or has_control_character(entry.value)):
        return "the value begins or ends with a space, or holds a control character: write it as the events have it"
    try:
        if entry.kind == "network" and network_of(entry.value) != entry.value:
            return "the prefix is not in its shortest form: write 10.0.0.0/8, 192.0.2.1/32 or 2001:db8::/32"
        if entry.kind == "range":
            range_of(entry.value)
    except ValueError as error:
        return str(error)
    return _card_number_problem(entry)


def plain_values(entries: Sequence[ListEntry]) -> bool:
    """Whether all of many entries are values without any problem, at once; False where one has to look at each."""
    values = [entry.value for entry in entries]
    if not all(map(str.isprintable, values)) or any(value[0] == " " or value[-1] == " " for value in values):
        return False
    words = {word for entry in entries for word in (entry.reason, entry.by, entry.source, entry.batch or "")}
    return all(entry.kind == "value" for entry in entries) and none_is_card_number([*values, *words])


def _card_number_problem(entry: ListEntry) -> str | None:
    """A prefix is an address, whatever its digits look like."""
    texts = {"reason": entry.reason, "by": entry.by, "source": entry.source, "batch": entry.batch or ""}
    if entry.kind == "value":
        texts["value"] = entry.value
    elif entry.kind == "range":
        texts["value"], texts["end"] = entry.value.split(RANGE_MARK, 1)
    if none_is_card_number(list(texts.values())):
        return None
    if entry.field in SUBJECT_FIELDS and is_card_number(entry.value):
        return CARD_NUMBER_WORDS.format("value")
    name = next((name for name, text in texts.items() if card_numbers_in(text)), None)
    return CARD_NUMBER_WORDS.format(name.replace("end", "value")) if name else None


def network_of(text: str) -> str:
    """A prefix of addresses in its shortest form. Raises ValueError with a sentence."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("this is no prefix of addresses: write it as 10.0.0.0/8 or 2001:db8::/32") from None
    raise ValueError("the address has bits beyond its prefix: 10.1.2.3/8 is 10.0.0.0/8, or 10.1.2.3/32 if one is meant")


def range_of(text: str) -> tuple[float, float]:
    """The ends of a range, both included; an open end is infinite. Raises ValueError with a sentence."""
    low, mark, high = text.partition(RANGE_MARK)
    try:
        if not mark or not (low or high):
            raise ValueError
        first, last = _end(low, -math.inf), _end(high, math.inf)
    except ValueError:
        raise ValueError("this is no range of numbers: write it as 1..5, 0.5.. or ..5") from None
    if first > last:
        raise ValueError("the range ends before it begins: exchange its ends")
    return first, last


def _end(text: str, default: float) -> float:
    if not text:
        return default
    number = float(text)
    if not math.isfinite(number) or text != text.strip() or "_" in text:
        raise ValueError
    return number
