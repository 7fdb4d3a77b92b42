"""A feature spec proposed from a source spec: what each type of field is usually read as. A beginning, to be changed."""

from collections.abc import Iterator

from models.discovery.write import flow
from schemas.source_spec import (
    CategoryAttribute,
    FlagAttribute,
    IdAttribute,
    IpAttribute,
    NumberAttribute,
    SourceSpec,
    TimeAttribute,
)

WINDOWS = ("1h", "24h", "7d")


def proposed(source: SourceSpec) -> str:
    """The spec's YAML; it fits the source."""
    lines = [
        f"# Proposed from the source spec of {source.topic}: amounts, calendar, the subject's history, each attribute by",
        "# its type. `assay features explain features.yaml` says what each costs; remove what says nothing, add what you know.",
        "version: 1",
        f"time_zone: {getattr(source.event.time, 'time_zone', None) or 'UTC'}  # of the calendar features",
        "allowed_lateness: 5m",
        "keys: {subject: card_id}",
        "windows:",
        "  - {duration: 1h, buckets: 12}",
        "  - {duration: 24h, buckets: 12}",
        "  - {duration: 7d, buckets: 7}",
        "features:",
    ]
    lines += [f"  - {flow(feature)}" for feature in _features(source)]
    left = [name for name, attribute in source.attributes.items() if not list(_of_attribute(name, attribute))]
    return "\n".join([*lines, *([f"# No feature reads: {', '.join(left)}."] if left else [])]) + "\n"


def _features(source: SourceSpec) -> Iterator[dict[str, object]]:
    yield {"name": "amount", "kind": "field", "field": "amount"}
    for part in ("hour", "is_weekend", "is_night"):
        yield {"name": part, "kind": "calendar", "part": part}
    yield {"name": "seconds_since_last", "kind": "since", "key": "subject", "event": "last"}
    for window in WINDOWS:
        for aggregation in ("count", "mean", "ratio"):
            name = f"subject_{aggregation}_{window}"
            yield {"name": name, "kind": "window", "key": "subject", "aggregation": aggregation, "window": window}
    if source.event.counterparty is not None:
        yield from _novelty("counterparty", "terminal_id")
    for name in ("country", "mcc"):
        if getattr(source.event, name) is not None:
            yield from _novelty(name, name)
    for name, attribute in source.attributes.items():
        yield from _of_attribute(name, attribute)


def _novelty(name: str, of: str) -> Iterator[dict[str, object]]:
    """Whether the subject meets it for the first time, and how many it met."""
    short = name[:48]
    yield {"name": f"new_{short}", "kind": "novelty", "key": "subject", "of": of, "part": "first", "missing": 0}
    yield {"name": f"{short}_count_7d", "kind": "novelty", "key": "subject", "of": of, "part": "count", "window": "7d"}


def _of_attribute(name: str, attribute: object) -> Iterator[dict[str, object]]:
    called = name[:48] + "_value"
    if isinstance(attribute, NumberAttribute):
        yield {"name": called, "kind": "number", "attribute": name, "missing": 0}
    elif isinstance(attribute, FlagAttribute):
        yield {"name": called, "kind": "flag", "attribute": name, "missing": 0.5}
    elif isinstance(attribute, TimeAttribute):
        yield {"name": f"since_{name[:48]}", "kind": "between", "start": name, "missing": -1}
    elif isinstance(attribute, CategoryAttribute) and attribute.values is not None:
        values = {value: {"number": number} for number, value in enumerate(attribute.values, 1)}
        yield {
            "name": called,
            "kind": "category",
            "attribute": name,
            "values": values,
            "other": {"number": 0},
            "missing": 0,
        }
    if isinstance(attribute, IpAttribute):
        yield {"name": f"{name[:48]}_private", "kind": "network", "attribute": name, "part": "private", "missing": 0}
    if isinstance(attribute, CategoryAttribute | IdAttribute | IpAttribute):
        yield from _novelty(name, name)
