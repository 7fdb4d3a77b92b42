"""A source spec in plain words."""

import json
from collections.abc import Iterator
from typing import Any

from schemas.conditions import Condition
from schemas.located import Moment
from schemas.source_spec import (
    AmountField,
    BaseAttribute,
    CategoryAttribute,
    FlagAttribute,
    GeoAttribute,
    NumberAttribute,
    ScaleField,
    SourceSpec,
)

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_UNITS |= {"min": "minutes", "h": "hours", "d": "days"}
_BOUNDS = {"above": "above", "at_least": "at least", "below": "below", "at_most": "at most"}
_TYPES = {
    "number": "a number",
    "category": "a category",
    "flag": "yes or no",
    "id": "an id",
    "ip": "an internet address",
    "time": "a time",
    "text": "a text for people, which no model reads",
    "geo": "a place",
}


def sentences(source: SourceSpec) -> list[str]:
    """What is read from where: the records, the event's own fields, the attributes."""
    return list(_sentences(source))


def _sentences(source: SourceSpec) -> Iterator[str]:
    event = source.event
    yield f"Reads records of {source.topic} (a topic, named whole, or a file of the same records) {_form(source)}."
    if source.select:
        held = " and ".join(condition_words(condition) for condition in source.select)
        yield f"A record is an event where {held}; every other one is passed over and counted."
    else:
        yield "Every record is an event; one that is not as below is a dead letter."
    yield f"An event's id is {event.id.where}; a repeated one is a dead letter."
    yield f"It happened at {event.time.where}, {_moment(event.time)}."
    yield f"Its subject, whose history comes first and which keys the topic, is {event.subject.where}."
    if event.counterparty is not None:
        may = "" if event.counterparty.required else ", which an event may lack"
        yield f"The other side is {event.counterparty.where}{may}."
    yield f"Its amount is {event.amount.path}, {_amount(event.amount)}."
    if event.currency is not None:
        currency = event.currency
        coded = (
            f", by name: {', '.join(f'{name} is {code}' for name, code in currency.codes.items())}"
            if currency.codes
            else ""
        )
        yield f"Its currency is {currency.fixed or currency.path}{', always' if currency.fixed else coded}."
    for name in ("mcc", "country", "channel"):
        if (field := getattr(event, name)) is not None:
            yield f"Its {name} is {field.path}."
    for name, attribute in source.attributes.items():
        yield f"Attribute {name}: {_attribute(attribute)}, at {' and '.join(attribute.paths)}{_further(attribute)}."
    if source.label is not None:
        yield f"In a file to train on, {source.label} says what was fraud; nothing else reads it."
    if source.of_rows:
        yield "Ids are numbers of rows, so only files can be read by it, no topic."
    yield "What no path names is not read."


def _form(source: SourceSpec) -> str:
    form, envelope = source.format, source.envelope
    words = "as JSON" if form.type == "json" else f"as {form.type}, "
    if form.type != "json":
        words += "with the id of its schema in front" if form.framing == "confluent" else "by the schema of the spec"
    return words + ("" if envelope == "none" else f", out of its {envelope} envelope")


def condition_words(condition: Condition) -> str:
    """A condition, in words.

    >>> condition_words(Condition(path="type", equals="AUTH"))
    'type is "AUTH"'
    """
    if condition.negated is not None:
        return f"not ({condition_words(condition.negated)})"
    if condition.some is not None:
        return "(" + " or ".join(map(condition_words, condition.some)) + ")"
    if condition.every is not None:
        return "(" + " and ".join(map(condition_words, condition.every)) + ")"
    if condition.exists is not None:
        return f"{condition.path} {'is there' if condition.exists else 'is not there'}"
    if condition.equals is not None:
        return f"{condition.path} is {_constant(condition.equals)}"
    if condition.one_of is not None:
        return f"{condition.path} is {' or '.join(map(_constant, condition.one_of))}"
    bounds = [
        f"{words} {getattr(condition, name):g}"
        for name, words in _BOUNDS.items()
        if getattr(condition, name) is not None
    ]
    return f"{condition.path} is {' and '.join(bounds)}"


def _constant(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _moment(moment: Moment) -> str:
    if moment.unit is not None:
        return f"in {_UNITS[moment.unit]} since {moment.start or 1970}"
    if moment.time_zone is None:
        return f"written as {moment.format} with its offset"
    return f"written as {moment.format} in the local time of {moment.time_zone}"


def _amount(amount: AmountField) -> str:
    words = []
    if isinstance(amount.scale, ScaleField):
        words.append(f"in minor units, with as many decimal places as {amount.scale.path} says")
    elif amount.scale == "currency":
        words.append("in minor units of its currency, by ISO 4217: 1234 is EUR 12.34, JPY 1234, KWD 1.234")
    else:
        words.append("as it is" if not amount.scale else f"in minor units: 1234 is {1234 / 10**amount.scale:g}")
    if amount.decimal == "comma":
        words.append("with decimal commas")
    if amount.drop is not None:
        words.append(f"without any of {amount.drop}")
    if amount.sign == "reversed":
        words.append("with its sign reversed: what is given as negative is a payment")
    if amount.negative_where is not None:
        words.append(f"turned negative where {condition_words(amount.negative_where)}")
    words.append(
        "and refunds (below 0) are events, too"
        if amount.at_least < 0
        else f"at least {amount.at_least:g}, else a dead letter"
    )
    return ", ".join(words)


def _attribute(attribute: BaseAttribute) -> str:
    words = _TYPES[str(getattr(attribute, "type", ""))]
    if isinstance(attribute, CategoryAttribute) and attribute.values is not None:
        words += f" of {', '.join(attribute.values)}"
    if isinstance(attribute, FlagAttribute) and attribute.yes is not None and attribute.no is not None:
        words += f" ({', '.join(attribute.yes)} or {', '.join(attribute.no)})"
    if isinstance(attribute, NumberAttribute):
        words += f" in {attribute.unit}" if attribute.unit else ""
        words += " with decimal commas" if attribute.decimal == "comma" else ""
        words += f" without any of {attribute.drop}" if attribute.drop is not None else ""
    if isinstance(attribute, GeoAttribute):
        words += ", latitude and longitude"
    if isinstance(attribute, Moment):
        words += f" {_moment(attribute)}"
    return words


def _further(attribute: BaseAttribute) -> str:
    words = [] if attribute.required else ["may be missing"]
    words += ["about a person"] if attribute.personal else []
    words += ["people see it"] if attribute.show else []
    return f" ({', '.join(words)})" if words else ""
