"""A feature spec to begin with, made of a source spec: what each kind of field is commonly read for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.discovery.write import flow
from schemas.derived import Currencies
from schemas.source_spec import (
    BaseAttribute,
    CategoryAttribute,
    FlagAttribute,
    GeoAttribute,
    IdAttribute,
    IpAttribute,
    NumberAttribute,
    SourceSpec,
    TimeAttribute,
)

WINDOWS = (("10m", 10), ("1h", 12), ("24h", 12), ("7d", 7), ("30d", 30))
"""Durations and buckets. 7d and 30d have buckets of a day both, so they share their memory."""

MET_VALUES_MIN = 4
"""A category of so many is also something that a subject meets for the first time."""

NAME_CHARACTERS_MAX = 64
KEY = "subject"
OWN_CATEGORIES = ("country", "channel", "mcc")
BETWEEN_S_MAX = 315_576_000
"""Ten years."""

Seen = Mapping[str, Sequence[Any]]
"""Values of the fields in a sample, by name; only those of categories are looked at."""


def proposed_features(source: SourceSpec, seen: Seen, currencies: Currencies) -> str:
    """The spec's YAML. seen: a sample's values; the values of categories are learnt by training, not here.

    currencies: in which amounts are added; not written where events name none.
    """
    lines = [
        f"# Proposed for {source.topic} from its source spec: a beginning, not a choice. Remove what says nothing about fraud,",
        "# add what does (docs/features.md), then look: assay features explain features.yaml",
        "version: 1",
        "time_zone: UTC  # of hour, night and weekend: write where your customers live, such as Europe/Paris",
        "allowed_lateness: 5m",
        f"keys: {{{KEY}: card_id}}  # card_id is the source spec's subject",
        *_currencies(source, currencies),
        *_networks(source),
        "",
        "windows:",
        *(f"  - {{duration: {duration}, buckets: {buckets}}}" for duration, buckets in WINDOWS),
        "",
        "features:",
    ]
    return "\n".join([*lines, *(f"  - {flow(feature)}" for feature in _features(source, seen))]) + "\n"


def _currencies(source: SourceSpec, currencies: Currencies) -> Iterator[str]:
    currency = source.event.currency
    if currency is None or currency.path is None:
        return
    fields = flow(currencies.model_dump(exclude_defaults=True))
    yield f"currencies: {fields}  # amounts are in this one; events in a further one become dead letters"


def _networks(source: SourceSpec) -> list[str]:
    """An id of the network of each address: a phone's address changes all the time, its network hardly ever."""
    addresses = [name for name, attribute in source.attributes.items() if isinstance(attribute, IpAttribute)]
    made = {_network(name): {"kind": "prefix", "attribute": name} for name in addresses if _has_network(name, source)}
    return ["derived:", *(f"  {name}: {flow(fields)}" for name, fields in made.items())] if made else []


def _network(name: str) -> str:
    return f"{name}_network"


def _has_network(name: str, source: SourceSpec) -> bool:
    """Whether its network can have a name of its own."""
    return _network(name) not in source.attributes and len(_network(name)) <= NAME_CHARACTERS_MAX


def _features(source: SourceSpec, seen: Seen) -> Iterator[dict[str, Any]]:
    yield {"name": "amount", "kind": "field", "field": "amount"}
    for part in ("hour", "is_weekend", "is_night"):
        yield {"name": part, "kind": "calendar", "part": part}
    yield {"name": "seconds_since_last", "kind": "since", "key": KEY, "event": "last", "at_most": "30d"}
    for window, _ in WINDOWS:
        for aggregation in ("count", "mean", "ratio"):
            name = f"{aggregation}_{window}"
            yield {"name": name, "kind": "window", "key": KEY, "aggregation": aggregation, "window": window}
    if source.event.counterparty is not None:
        yield from _met("counterparty", "terminal_id", lacking=not source.event.counterparty.required)
    for name in OWN_CATEGORIES:
        field = getattr(source.event, name)
        if field is not None:
            yield from _met(name, name, lacking=not field.required)
    for name, attribute in source.attributes.items():
        yield from _of_attribute(name, attribute, source, seen)


def _of_attribute(name: str, attribute: BaseAttribute, source: SourceSpec, seen: Seen) -> Iterator[dict[str, Any]]:
    lacking = not attribute.required
    missing = {"missing": 0} if lacking else {}
    if isinstance(attribute, NumberAttribute):
        yield {"name": name, "kind": "number", "attribute": name, **missing}
    elif isinstance(attribute, FlagAttribute):
        yield {"name": name, "kind": "flag", "attribute": name, **missing}
    elif isinstance(attribute, TimeAttribute):
        yield {
            "name": f"since_{name}", "kind": "between", "start": name, "at_least": -BETWEEN_S_MAX, "at_most": BETWEEN_S_MAX,
            **missing,
        }  # fmt: skip
    elif isinstance(attribute, CategoryAttribute):
        if not attribute.personal:
            yield {"name": name, "kind": "category", "attribute": name, "learn": {"encode": "embedding"}}
        if attribute.personal or _has_many_values(attribute, seen.get(name, ())):
            yield from _met(name, name, lacking=lacking)
    elif isinstance(attribute, GeoAttribute):
        for part in ("distance", "speed"):
            yield {"name": f"{name}_{part}", "kind": "place", "key": KEY, "attribute": name, "part": part}
    elif isinstance(attribute, IpAttribute):
        yield {"name": f"{name}_private", "kind": "network", "attribute": name, "part": "private", **missing}
        of = _network(name) if _has_network(name, source) else name
        yield from _met(of, of, lacking=lacking)
    elif isinstance(attribute, IdAttribute):
        yield from _met(name, name, lacking=lacking)


def _met(name: str, of: str, *, lacking: bool) -> Iterator[dict[str, Any]]:
    """Whether the subject meets it for the first time, and how many it met."""
    missing = {"missing": 0} if lacking else {}
    both = {"kind": "novelty", "key": KEY, "of": of, "window": "30d"}
    yield {"name": f"new_{name}", **both, "part": "first", **missing}
    yield {"name": f"{name}_met", **both, "part": "count"}


def _has_many_values(attribute: CategoryAttribute, seen: Sequence[Any]) -> bool:
    """Whether a subject may meet one for the first time: a merchant's kind rather than a card's."""
    if attribute.values is not None:
        return len(attribute.values) >= MET_VALUES_MIN
    return len({value for value in seen if value is not None}) >= MET_VALUES_MIN
