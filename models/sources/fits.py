"""Whether a source has what a feature spec reads: asked before anything is trained, loaded or scored."""

from collections.abc import Iterator

from models.features import filters
from models.features.inputs import AMOUNT, EVENT_TIME, attribute_features
from models.features.layout import counted_fields, entity_fields, used_keys
from models.features.memory import MemoryFeature, memory_features, met_fields
from models.sources.spec_file import default_source
from schemas.feature_kinds.base import ID_FIELDS, BaseFeature
from schemas.feature_kinds.event import (
    AttributeFeature,
    BetweenFeature,
    CategoryFeature,
    FieldFeature,
    FlagFeature,
    MissingFeature,
    NetworkFeature,
    NumberFeature,
)
from schemas.feature_kinds.history import NoveltyFeature, PlaceFeature, WindowFeature
from schemas.feature_spec import FeatureSpec
from schemas.source_spec import (
    CategoryAttribute,
    FlagAttribute,
    GeoAttribute,
    IdAttribute,
    IpAttribute,
    NumberAttribute,
    SourceSpec,
    TimeAttribute,
)

CATEGORIES = ("currency", "mcc", "country", "channel")
_ADDING = ("sum", "mean", "max", "std", "ratio")
_TEXTS = (IdAttribute, CategoryAttribute, IpAttribute)


def misfit(spec: FeatureSpec, source: SourceSpec | None) -> str | None:
    """What the feature spec reads and the source does not have, in a sentence; None where it fits."""
    return next(_misfits(spec, source or default_source()), None)


def _misfits(spec: FeatureSpec, source: SourceSpec) -> Iterator[str]:
    ids = {field for key in used_keys(spec) for field in (spec.keys[key], *counted_fields(spec, key))}
    ids |= {field for name in spec.stages for field in entity_fields(spec, name)}
    ids |= set(met_fields(spec))
    for name, made in spec.derived.items():
        if name in source.attributes or name in ID_FIELDS:
            yield f"The feature spec derives {name}, which the source of {source.topic} has already: choose another name."
        if not isinstance(source.attributes.get(made.attribute), IpAttribute):
            yield f"The feature spec derives {name} of {made.attribute}, {_what(source, made.attribute)}: name an address."
    source = _with_derived(spec, source)
    yield from _of_currencies(spec, source)
    for name in sorted(ids - set(ID_FIELDS)):
        if not isinstance(source.attributes.get(name), _TEXTS):
            yield f"The feature spec keeps or counts by {name}, {_what(source, name)}: name an id, a category or an address."
    if source.event.amount.at_least < 0:
        for feature in spec.features:
            if _takes_logarithm_of_amounts(feature):
                yield (
                    f"Feature {feature.name} takes the logarithm of amounts, which may be below 0 in the source of "
                    f"{source.topic}: remove its transform."
                )
    for _, of_attributes in attribute_features(spec):
        yield from _of_attribute(of_attributes, source)
    for _, of_history in memory_features(spec):
        yield from _of_history(of_history, source)


def _takes_logarithm_of_amounts(feature: BaseFeature) -> bool:
    return isinstance(feature, FieldFeature | WindowFeature) and feature.field == AMOUNT and _takes_logarithm(feature)


def _takes_logarithm(feature: FieldFeature | WindowFeature) -> bool:
    return feature.transform == "log1p" and getattr(feature, "aggregation", "sum") not in ("count", "distinct", "std")


def _of_attribute(feature: AttributeFeature, source: SourceSpec) -> Iterator[str]:
    optional = False
    for name in feature.attributes_read:
        if name in (AMOUNT, EVENT_TIME) and not isinstance(feature, CategoryFeature | FlagFeature | NetworkFeature):
            continue
        if name in CATEGORIES and isinstance(feature, CategoryFeature):
            optional = True
            continue
        attribute = source.attributes.get(name)
        if attribute is None or not isinstance(attribute, _kinds(feature)):
            yield f"Feature {feature.name} reads {name}, {_what(source, name)}: correct one of the specs."
            return
        optional |= not attribute.required
    if isinstance(feature, CategoryFeature) and feature.learn is not None:
        attribute = source.attributes.get(feature.attribute)
        if attribute is not None and attribute.personal:
            yield (
                f"Feature {feature.name} learns the values of {feature.attribute}, which is personal, and they would stand in "
                "the bundle: ask whether the subject met it before (kind: novelty), or name values."
            )
        if feature.is_open:
            return
    if optional and feature.missing is None and not isinstance(feature, MissingFeature):
        yield (
            f"Feature {feature.name} reads {' and '.join(feature.attributes_read)}, which an event may lack: add "
            "missing, the value that then stands for it."
        )
    if isinstance(feature, CategoryFeature) and feature.other is None:
        yield f"Feature {feature.name} has no number for values that it does not name: add other."


def _of_currencies(spec: FeatureSpec, source: SourceSpec) -> Iterator[str]:
    """Amounts in several currencies are never added together without a word."""
    currency, currencies = source.event.currency, spec.currencies
    if currencies is None:
        if currency is not None and currency.path is not None and source != default_source():
            for feature in spec.features:
                if isinstance(feature, WindowFeature) and feature.field == AMOUNT and feature.aggregation in _ADDING:
                    yield (
                        f"Feature {feature.name} adds amounts up, which the source of {source.topic} has in the currency at "
                        f"{currency.path}: add `currencies: {{only: EUR}}` to the feature spec (events in others are then dead "
                        "letters), or rates for them."
                    )
        return
    if currency is None:
        yield (
            f"The feature spec names currencies, and the source of {source.topic} has none: add event.currency, or remove "
            "them."
        )
    elif currency.path is None and currencies.rate(currency.fixed) is None:
        yield (
            f"All amounts of the source of {source.topic} are in {currency.fixed}, which the feature spec has no rate for: "
            "add it under currencies."
        )


def _with_derived(spec: FeatureSpec, source: SourceSpec) -> SourceSpec:
    """The source as if it had the derived ids: an event lacks them where it lacks their attribute."""
    made = {name: source.attributes[one.attribute] for name, one in spec.derived.items()}
    ids = {
        name: IdAttribute(type="id", path=one.paths[0], required=one.required)
        for name, one in made.items()
        if isinstance(one, IpAttribute)
    }
    return source.model_copy(update={"attributes": {**source.attributes, **ids}})


def _of_history(feature: MemoryFeature, source: SourceSpec) -> Iterator[str]:
    if isinstance(feature, NoveltyFeature):
        if feature.part != "count" and feature.missing is None and _may_lack(source, feature.of):
            yield (
                f"Feature {feature.name} reads {feature.of}, which an event may lack: add missing, the value that then "
                "stands for it."
            )
        return
    if isinstance(feature, PlaceFeature):
        if not isinstance(source.attributes.get(feature.attribute), GeoAttribute):
            yield f"Feature {feature.name} reads {feature.attribute}, {_what(source, feature.attribute)}: name a place (geo)."
        return
    if feature.field != AMOUNT:
        attribute = source.attributes.get(feature.field)
        if not isinstance(attribute, NumberAttribute | FlagAttribute):
            yield f"Feature {feature.name} reads {feature.field}, {_what(source, feature.field)}: name a number or a flag."
        elif _takes_logarithm(feature) and isinstance(attribute, NumberAttribute) and attribute.low < 0:
            yield (
                f"Feature {feature.name} takes the logarithm of {feature.field}, which may be below 0 in the source of "
                f"{source.topic}: give the attribute at_least: 0, or remove the transform."
            )
    if feature.where is not None:
        for name in filters.texts_read(feature.where):
            if name not in ID_FIELDS and not isinstance(source.attributes.get(name), _TEXTS):
                yield f"Feature {feature.name} compares {name} with a text, {_what(source, name)}: correct one of the specs."
        for name in filters.numbers_read(feature.where):
            if not isinstance(source.attributes.get(name), NumberAttribute | FlagAttribute | TimeAttribute):
                yield f"Feature {feature.name} compares {name} as a number, {_what(source, name)}: compare it with a text."


def _may_lack(source: SourceSpec, name: str) -> bool:
    """Whether an event may be without an id."""
    if name == "card_id":
        return False
    if name == "terminal_id":
        return source.event.counterparty is None or not source.event.counterparty.required
    field = getattr(source.event, name) if name in CATEGORIES else source.attributes[name]
    return field is None or not (field.required or getattr(field, "fixed", None))


def _kinds(feature: AttributeFeature) -> type | tuple[type, ...]:
    """Types of attributes that a feature can be made of."""
    if isinstance(feature, CategoryFeature):
        return CategoryAttribute, IdAttribute
    if isinstance(feature, FlagFeature):
        return FlagAttribute
    if isinstance(feature, NetworkFeature):
        return IpAttribute
    if isinstance(feature, BetweenFeature):
        return TimeAttribute
    if isinstance(feature, MissingFeature):
        return NumberAttribute, FlagAttribute, TimeAttribute
    return (NumberAttribute, FlagAttribute) if isinstance(feature, NumberFeature) else NumberAttribute


def _what(source: SourceSpec, name: str) -> str:
    attribute = source.attributes.get(name)
    return f"which the source of {source.topic} " + (
        "does not have" if attribute is None else f"has as type {attribute.type}"
    )
