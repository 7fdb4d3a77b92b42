"""What a user's topic or file holds: declared, not programmed. Written in YAML, carried in a bundle's `manifest.json`.

One spec a source: which records are meant, where an event's own fields lie, and every further attribute with its type. Stream
and file are read by one parser made of it (`models/sources`), so that training and serving cannot differ.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.alert import ATTRIBUTES_SHOWN_MAX
from schemas.base import NUMBER_MAX, Number, Part, TopicName
from schemas.conditions import Condition
from schemas.derived import CurrencyCode
from schemas.located import IdField, Located, Moment, OptionalIdField, Problem, TimeField, Written
from schemas.paths import ROW, Path, parts
from schemas.record_format import Envelope, RecordFormat

AMOUNT_MAX = 1e9
SCALE_MAX = 9
ATTRIBUTES_MAX = 256

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", max_length=64)]
"""Of an attribute."""

Dropped = Annotated[str, Field(pattern=r"^[^0-9.+\-eE]+$", max_length=8)]
"""Characters that are left out of numbers as text: no part of a number."""

Decimals = Literal["point", "comma"]
DECIMAL: Any = Field(
    "point",
    description="What is before the decimal places of a text: with comma 1.234,50 is 1234.5, points are between thousands.",
)
DROP: Any = Field(None, description='Characters that are left out of numbers as text: "$," of $1,234.50.')

Characters = Annotated[int, Field(ge=0, le=1_000)]
Words = Annotated[str, Field(min_length=1, max_length=200)]
Scale = Annotated[int, Field(ge=0, le=SCALE_MAX)]
Choices = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(min_length=1, max_length=1_000)
]

LOCATED = ("id", "time", "subject", "counterparty")
"""The event's fields that may be made of several paths."""

OWN_NAMES = ("event_id", "event_time", "card_id", "subject", "terminal_id", "counterparty", "amount")
"""Names of the event's own fields in feature specs: no attribute may take one."""


class ScaleField(Part):
    """Where the number of decimal places lies."""

    path: Path = Field(description="Where it lies: a whole number from 0 to 9.")


class AmountField(Part):
    """How much, in the currency's main unit."""

    path: Path = Field(description="Where it lies.")
    written: Written = Field(
        "any", description="In which type of JSON: string (a decimal number as text), number, or any."
    )
    scale: Scale | Literal["currency"] | ScaleField = Field(
        0,
        description="Decimal places: 2 where 1234 means 12.34; currency: those of the event's currency by ISO 4217, 2 of EUR, "
        "0 of JPY, 3 of KWD; or the path of a field that says it for each event.",
    )
    decimal: Decimals = DECIMAL
    drop: Dropped | None = DROP
    sign: Literal["as_given", "reversed"] = Field(
        "as_given", description="reversed: what is given as negative is a payment, as in a ledger."
    )
    negative_where: Condition | None = Field(
        None, description="Amounts of these events are turned negative: refunds that come as positive numbers."
    )
    at_least: Annotated[float, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)] = Field(
        0.0, description="A smaller amount is a dead letter. Below 0 it lets refunds and reversals in."
    )
    at_most: Annotated[float, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)] = Field(
        AMOUNT_MAX, description="A larger amount is a dead letter."
    )

    @property
    def plain(self) -> bool:
        """Whether the amount is the number that is given."""
        given = self.scale == 0 and self.sign == "as_given" and self.drop is None and self.decimal == "point"
        return given and self.negative_where is None


class TextField(Part):
    """A short text of the event."""

    path: Path = Field(description="Where it lies.")
    written: Written = Field("any", description="In which type of JSON: string, number, or any.")
    required: bool = Field(False, description="An event without one is a dead letter.")
    characters_min: Characters | None = Field(None, description="A shorter one is a dead letter.")
    characters_max: Characters = Field(64, description="A longer one is a dead letter.")


CurrencyName = Annotated[str, Field(min_length=1, max_length=64)]


class CurrencyField(Part):
    """Which currency the amount is in."""

    path: Path | None = Field(None, description="Where its ISO 4217 code lies.")
    fixed: Annotated[str, Field(min_length=3, max_length=3)] | None = Field(
        None, description="The same for all events."
    )
    codes: Annotated[dict[CurrencyName, CurrencyCode], Field(min_length=1, max_length=200)] | None = Field(
        None,
        description="The code of each name, where the events have names: {US Dollar: USD}. Any other is a dead letter.",
    )
    written: Written = Field("any", description="In which type of JSON: string, number, or any.")
    required: bool = Field(False, description="An event without one is a dead letter.")


class EventFields(Part):
    """The fields that Assay itself works with."""

    id: IdField = Field(description="Unique id of the event; a repeated one is a dead letter.")
    time: TimeField = Field(description="When it happened.")
    subject: IdField = Field(
        description="Whose history comes first, and what the topic is keyed by: the card, the account; a keyed pseudonym."
    )
    counterparty: OptionalIdField | None = Field(None, description="The other side: the terminal, the payee's account.")
    amount: AmountField = Field(description="How much.")
    currency: CurrencyField | None = Field(None, description="In which currency.")
    mcc: TextField | None = Field(None, description="ISO 18245 merchant category code.")
    country: TextField | None = Field(None, description="ISO 3166 code of the country where it happened.")
    channel: TextField | None = Field(None, description="How it was made: pos, online, atm, ...")


class BaseAttribute(Part):
    """What every attribute has."""

    description: Words | None = Field(None, description="The attribute in words. Default: its name.")
    required: bool = Field(False, description="An event without it is a dead letter; else it may be absent or null.")
    show: bool = Field(False, description="People who work on alerts see it.")
    personal: bool = Field(
        False, description="It is about a person: sealed, masked and erased as the card's own fields are."
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it lies."""
        raise NotImplementedError


class PathAttribute(BaseAttribute):
    """An attribute of one value."""

    path: Path = Field(description="Where it lies.")
    written: Written = Field("any", description="In which type of JSON: string, number, or any.")

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it lies."""
        return (self.path,)


class NumberAttribute(PathAttribute):
    """A number; as text, too."""

    type: Literal["number"] = Field(description="A number.")
    unit: Annotated[str, Field(max_length=16)] | None = Field(None, description="In which unit, for people.")
    scale: Scale = Field(0, description="Decimal places: 2 where 1234 means 12.34.")
    decimal: Decimals = DECIMAL
    drop: Dropped | None = DROP
    at_least: Number | None = Field(None, description="A smaller number is a dead letter.")
    at_most: Number | None = Field(None, description="A larger number is a dead letter.")

    @property
    def low(self) -> float:
        """The least that is no dead letter."""
        return -NUMBER_MAX if self.at_least is None else self.at_least

    @property
    def high(self) -> float:
        """The most that is none."""
        return NUMBER_MAX if self.at_most is None else self.at_most


class CategoryAttribute(PathAttribute):
    """One of a number of values."""

    type: Literal["category"] = Field(description="One of a number of values.")
    values: Choices | None = Field(None, description="Any other value is a dead letter. Default: any value.")
    characters_max: Characters = Field(64, description="A longer one is a dead letter.")


class FlagAttribute(PathAttribute):
    """Yes or no: true and false in JSON, or the words given."""

    type: Literal["flag"] = Field(description="Yes or no.")
    written: Literal["any", "boolean", "number", "string"] = Field(  # type: ignore[assignment]
        "any", description="In which type of JSON: boolean, string, number, or any."
    )
    yes: Choices | None = Field(None, description="Words that mean yes. Default: true, of JSON or as text.")
    no: Choices | None = Field(None, description="Words that mean no. Default: false, of JSON or as text.")


class IdAttribute(PathAttribute):
    """Names something: a device, an address, a merchant."""

    type: Literal["id"] = Field(description="Names something: a device, a merchant, a payee.")


class IpAttribute(PathAttribute):
    """An internet address, version 4 or 6."""

    type: Literal["ip"] = Field(description="An internet address, version 4 or 6.")


class TimeAttribute(PathAttribute, Moment):
    """A further time of the event."""

    type: Literal["time"] = Field(description="A further time: when an account was opened, a limit raised.")


class TextAttribute(PathAttribute):
    """For people: no model reads it."""

    type: Literal["text"] = Field(description="For people; no model reads it.")
    characters_max: Characters = Field(200, description="A longer one is a dead letter.")


class GeoAttribute(BaseAttribute):
    """A place on Earth."""

    type: Literal["geo"] = Field(description="A place on Earth, in degrees (WGS 84).")
    latitude: Path = Field(description="Where the latitude lies.")
    longitude: Path = Field(description="Where the longitude lies.")
    written: Written = Field("any", description="In which type of JSON: string, number, or any.")

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it lies."""
        return self.latitude, self.longitude


Attribute = Annotated[
    NumberAttribute
    | CategoryAttribute
    | FlagAttribute
    | IdAttribute
    | IpAttribute
    | TimeAttribute
    | TextAttribute
    | GeoAttribute,
    Field(discriminator="type"),
]


class SourceSpec(Part):
    """A topic, or a file, of the user's."""

    version: Literal[1] = Field(description="Version of this format.")
    topic: TopicName = Field(description="The topic's name.")
    format: RecordFormat = Field(RecordFormat(), description="Of the records' values.")
    envelope: Envelope = Field("none", description="What is around each event.")
    routed: bool = Field(
        False,
        description="Intake reads the topic and writes its events to `events`, keyed by the subject, for the scorer: where the "
        "topic has other keys or another partitioner. false: the scorer reads the topic itself, if that is plain JSON.",
    )
    select: Annotated[tuple[Condition, ...], Field(max_length=100)] = Field(
        (), description="Records for which all of these hold are events; the others are passed over, and counted."
    )
    label: Path | None = Field(
        None,
        description="Where files to train on say what was fraud. A stream is read without it, and no attribute may be it.",
    )
    event: EventFields = Field(description="Where the fields of its own lie.")
    attributes: Annotated[dict[Name, Attribute], Field(max_length=ATTRIBUTES_MAX)] = Field(
        {}, description="Every further field, by a name of yours."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SourceSpec":
        for where, problem in self._problems():
            raise PydanticCustomError("spec", "{problem}", {"problem": problem, "path": list(where)})
        return self

    def _problems(self) -> Iterator[Problem]:
        event = self.event
        for inside, problem in self.format.problems():
            yield ("format", *inside), problem
        written = {("event", "amount"): event.amount} | {
            ("attributes", name): found for name, found in self.attributes.items() if isinstance(found, NumberAttribute)
        }
        for place, number in written.items():
            if number.decimal == "comma" and "," in (number.drop or ""):
                yield (*place, "drop"), "leaves out the decimal comma"
        for name in LOCATED:
            found = getattr(event, name)
            if found is not None and found.ways() != 1:
                rows = "" if name == "time" else ", or row: true"
                yield ("event", name), f"it lies at one path, or is joined of several{rows}; give exactly one of these"
        for where, problem in event.time.moment_problems():
            yield ("event", "time", *where), problem
        if event.amount.at_least > event.amount.at_most:
            yield ("event", "amount", "at_least"), "at_least is above at_most; exchange them"
        if event.currency is not None and (event.currency.path is None) == (event.currency.fixed is None):
            yield ("event", "currency"), "a currency is either fixed or has a path; give one"
        if event.amount.scale == "currency" and event.currency is None:
            yield ("event", "amount", "scale"), "scale: currency needs the event's currency; add it, or give a number"
        for name in ("mcc", "country", "channel"):
            field = getattr(event, name)
            if field is not None and (field.characters_min or 0) > field.characters_max:
                yield ("event", name, "characters_min"), "characters_min is above characters_max; exchange them"
        for name, attribute in self.attributes.items():
            yield from self._attribute_problems(name, attribute)
        if self.label is not None and self.label in (path for _, path in self.located()):
            yield (
                ("label",),
                f"{self.label} is read as a field, too, and no model may read what it is to find; remove that field",
            )
        if event.currency is not None and event.currency.codes is not None and event.currency.path is None:
            yield ("event", "currency", "codes"), "a currency that is fixed has a code already; remove codes"
        if len([name for name, attribute in self.attributes.items() if attribute.show]) > ATTRIBUTES_SHOWN_MAX:
            yield ("attributes",), f"more than {ATTRIBUTES_SHOWN_MAX} attributes have show; leave it off the others"
        yield from self._path_problems()

    def _attribute_problems(self, name: str, attribute: BaseAttribute) -> Iterator[Problem]:
        where = ("attributes", name)
        if name in OWN_NAMES or name in EventFields.model_fields:
            yield where, f"{name} is the name of a field of the event's own; choose another"
        if isinstance(attribute, TimeAttribute):
            for inside, problem in attribute.moment_problems():
                yield (*where, *inside), problem
        if isinstance(attribute, NumberAttribute) and attribute.low > attribute.high:
            yield (*where, "at_least"), "at_least is above at_most; exchange them"
        if isinstance(attribute, FlagAttribute):
            if (attribute.yes is None) != (attribute.no is None):
                yield where, "the words for yes and for no are given together; add the other"
            elif both := set(attribute.yes or ()) & set(attribute.no or ()):
                yield where, f"{min(both)!r} cannot mean both yes and no; remove it from one"

    def _path_problems(self) -> Iterator[Problem]:
        """A value cannot be an object or a list, too."""
        leaves = {parts(path): where for where, path in self.located()}
        for found, where in leaves.items():
            for length in range(1, len(found)):
                if found[:length] in leaves:
                    other = ".".join(map(str, leaves[found[:length]]))
                    yield where, f"it lies within the value that {other} reads; correct one of the paths"
        kinds: dict[tuple[str | int, ...], type] = {}
        for found in leaves:
            for place, part in enumerate(found):
                if isinstance(part, int) and isinstance(found[place - 1], int):
                    yield leaves[found], "a list within a list is not read; have the sender flatten it"
                if kinds.setdefault(found[:place], type(part)) is not type(part):
                    yield (
                        leaves[found],
                        f"{found[place - 1]!r} is a list in one path and an object in another; correct one",
                    )

    @property
    def is_json(self) -> bool:
        """Whether a record's value is the event as it stands: JSON without an envelope."""
        return self.format.type == "json" and self.envelope == "none"

    @property
    def of_rows(self) -> bool:
        """Whether it takes numbers of rows as ids, so that only a file can be read by it."""
        return any(getattr(getattr(self.event, name), "row", False) for name in LOCATED)

    @property
    def is_routed(self) -> bool:
        """Whether intake is between the topic and the scorer, which reads nothing but plain JSON."""
        return self.routed or not self.is_json

    def located(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Each field's place in the spec, and the path that it reads."""
        for name in EventFields.model_fields:
            field = getattr(self.event, name)
            if isinstance(field, Located):
                yield from ((("event", name), path) for path in field.paths if path != ROW)
            elif field is not None and field.path is not None:
                yield ("event", name), field.path
        if isinstance(self.event.amount.scale, ScaleField):
            yield ("event", "amount", "scale"), self.event.amount.scale.path
        for name, attribute in self.attributes.items():
            for path in attribute.paths:
                yield ("attributes", name), path

    def fields(self) -> Iterator[Any]:
        """Every field and attribute that has a path."""
        for name in EventFields.model_fields:
            field = getattr(self.event, name)
            if field is not None:
                yield field
        if isinstance(self.event.amount.scale, ScaleField):
            yield self.event.amount.scale
        yield from self.attributes.values()

    def conditions(self) -> Iterator[Condition]:
        """Every condition."""
        yield from self.select
        if self.event.amount.negative_where is not None:
            yield self.event.amount.negative_where

    def canonical(self) -> str:
        """JSON with sorted keys, no spaces, fields at their defaults left out: equal exactly for equal specs."""
        content = self.model_dump(mode="json", exclude_defaults=True, by_alias=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical form. A later field with a default leaves an old spec its digest."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()
