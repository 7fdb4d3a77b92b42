"""Each field of a source spec as the types that msgspec reads it by, and the column that its values become."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.sources import values
from models.sources.shape import Leaf, Values
from schemas.currency_decimals import DECIMALS
from schemas.derived import Currencies
from schemas.located import IdField, Located, OptionalIdField, TimeField
from schemas.paths import ROW, parts
from schemas.source_spec import (
    SCALE_MAX,
    AmountField,
    BaseAttribute,
    CategoryAttribute,
    CurrencyField,
    FlagAttribute,
    GeoAttribute,
    IdAttribute,
    IpAttribute,
    NumberAttribute,
    ScaleField,
    TextAttribute,
    TextField,
    TimeAttribute,
)

ID_CHARACTERS = (1, 64)
CURRENCY_CHARACTERS = (3, 3)
INTEGER = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
SCALES = Annotated[int, msgspec.Meta(ge=0, le=9)]

_TENS = 10.0 ** np.arange(SCALE_MAX + 1)

Texts = list[str | None]
Floats = NDArray[np.float64]
Column = Texts | Floats


@dataclass(frozen=True, slots=True)
class Field:
    """One column. leaves: what it reads. make: the column of some rows' values; raises SchemaError.

    checked: whether the types of its leaves leave nothing to be refused, so that it need not be made to be judged.
    text: whether it is one for ids, categories and words; else it is one of numbers.
    """

    name: str
    leaves: tuple[Leaf, ...]
    make: Callable[[Values], Any]
    checked: bool
    text: bool = True


def id_field(name: str, field: IdField) -> Field:
    """An id of the event."""
    required = not isinstance(field, OptionalIdField) or field.required
    if field.row:
        return Field(name, (Leaf(ROW, int, True),), lambda found: list(map(str, found[ROW])), checked=True)
    if field.join is not None:
        return _joined(name, field, ID_CHARACTERS[1], field.separator, required)
    assert field.path is not None
    return _text(name, field.path, field.written, ID_CHARACTERS if required else (0, ID_CHARACTERS[1]), required)


def text_field(name: str, field: TextField) -> Field:
    """A short text of the event."""
    return _text(name, field.path, field.written, (field.characters_min, field.characters_max), field.required)


def currency_field(field: CurrencyField, currencies: Currencies | None = None) -> Field:
    """The currency's code. currencies: any other is refused."""
    codes = field.codes
    if field.path is None:
        return Field("currency", (), lambda found: [field.fixed] * len(found), checked=True)
    path = field.path
    if codes is None:
        plain = _text("currency", path, field.written, CURRENCY_CHARACTERS, field.required)
    else:
        plain = _coded(_text("currency", path, field.written, (int(field.required), 64), field.required), path, codes)
    if currencies is None:
        return plain
    known = frozenset([*currencies.codes, *([None] if currencies.missing else [])])
    words = ", ".join(currencies.codes[:10]) + (" ..." if len(currencies.codes) > 10 else "")

    def make(found: Values) -> Texts:
        column: Texts = plain.make(found)
        if not known.issuperset(column):
            raise values.refused(f"Expected a currency of the feature spec ({words})", path)
        return column

    return replace(plain, make=make, checked=False)


def time_field(field: TimeField) -> Field:
    """When the event happened: int64[n], ms since 1970 UTC."""
    if field.join is not None:
        return _joined_time(field)
    assert field.path is not None
    path, convert = field.path, values.to_ms(field, field.path)
    plain = field.unit == "ms" and field.start is None and field.written == "number" and not _in_list(path)

    def make(found: Values) -> NDArray[np.int64]:
        given = found[path]
        return np.array(given if plain else _present(convert(given), path), np.int64)

    return Field("time", (Leaf(path, values.time_kind(field, field.written), True),), make, plain, text=False)


def _joined_time(field: TimeField) -> Field:
    """A time in several places, such as a date and a time of day."""
    parts = _joined("time", field, values.TIME_CHARACTERS_MAX, " ", required=True)
    convert = values.to_ms(field, field.where)

    def make(found: Values) -> NDArray[np.int64]:
        return np.array(_present(convert(parts.make(found)), field.where), np.int64)

    return replace(parts, make=make, text=False)


def amount_field(field: AmountField, currency: CurrencyField | None) -> Field:
    """How much, before what the event itself says of its sign. float64[n]. currency: of the same source."""
    bounds = (field.at_least, field.at_most)
    native, comma = field.plain and field.written == "number" and not _in_list(field.path), field.decimal == "comma"
    leaves = [Leaf(field.path, _number_kind(field.written, bounds if field.plain else None), True)]
    if isinstance(field.scale, ScaleField):
        leaves.append(Leaf(field.scale.path, SCALES, True))
    codes = currency_field(currency) if field.scale == "currency" and currency is not None else None
    leaves += codes.leaves if codes is not None else ()

    def make(found: Values) -> Floats:
        if native:
            return np.array(found[field.path], np.float64)
        scale = field.scale if isinstance(field.scale, int) else 0
        amounts = values.numbers(found[field.path], field.path, scale, (-np.inf, np.inf), field.drop, comma=comma)
        if isinstance(field.scale, ScaleField):
            amounts = (
                amounts
                / _TENS[_there(np.array(found[field.scale.path], np.float64), field.path, True).astype(np.int64)]
            )
        if codes is not None:
            amounts = amounts / _TENS[_decimals(codes.make(found), field.path)]
        return _there(-amounts if field.sign == "reversed" else amounts, field.path, True)

    return Field("amount", tuple(leaves), make, native, text=False)


def _decimals(codes: Texts, path: str) -> NDArray[np.int64]:
    """Of each event's currency."""
    try:
        return np.array([DECIMALS[str(code)] for code in codes], np.int64)
    except KeyError:
        raise values.refused("Expected an amount in a currency whose decimal places ISO 4217 states", path) from None


def attribute_fields(name: str, attribute: BaseAttribute) -> Iterator[Field]:
    """The column of an attribute; of a place two, NAME.latitude and NAME.longitude."""
    if isinstance(attribute, GeoAttribute):
        yield from _places(name, attribute)
    elif isinstance(attribute, NumberAttribute):
        yield _number(name, attribute)
    elif isinstance(attribute, FlagAttribute):
        yield _flag(name, attribute)
    elif isinstance(attribute, TimeAttribute):
        yield _time(name, attribute)
    elif isinstance(attribute, IpAttribute):
        yield _address(name, attribute)
    elif isinstance(attribute, CategoryAttribute):
        yield _category(name, attribute)
    else:
        assert isinstance(attribute, IdAttribute | TextAttribute)
        most = 64 if isinstance(attribute, IdAttribute) else attribute.characters_max
        yield _text(name, attribute.path, attribute.written, (int(attribute.required), most), attribute.required)


def _text(name: str, path: str, written: str, characters: tuple[int | None, int], required: bool) -> Field:
    least, most = characters
    text = Annotated[str, msgspec.Meta(min_length=least or None, max_length=most)]
    kind = {"string": text, "number": INTEGER, "any": text | INTEGER}[written]
    whole = written == "string" and not _in_list(path)

    def make(found: Values) -> Texts:
        if whole:
            column = found[path]
            return column if least or all(column) else [value or None for value in column]
        return _held(values.texts(found[path], path, (least or 0, most)), path, required)

    return Field(name, (Leaf(path, kind, required),), make, checked=whole)


def _joined(name: str, field: Located, characters_max: int, separator: str, required: bool) -> Field:
    """A text of several."""
    paths, kinds = field.paths, {"string": str, "number": INTEGER, "any": str | INTEGER}

    def make(found: Values) -> Texts:
        columns = [values.texts(found[path], path, (0, characters_max)) for path in paths]
        return values.joined(columns, paths, separator, characters_max, required=required)

    leaves = tuple(Leaf(path, kinds[field.written], required) for path in paths)
    return Field(name, leaves, make, checked=False)


def _coded(plain: Field, path: str, codes: Mapping[str, str]) -> Field:
    """Names as the codes that stand for them."""

    def make(found: Values) -> Texts:
        try:
            return [None if value is None else codes[value] for value in plain.make(found)]
        except KeyError:
            raise values.refused("Expected one of the currencies that the source spec names", path) from None

    return replace(plain, make=make, checked=False)


def _category(name: str, attribute: CategoryAttribute) -> Field:
    plain = _text(
        name, attribute.path, attribute.written, (int(attribute.required), attribute.characters_max), attribute.required
    )
    if attribute.values is None:
        return plain
    allowed = frozenset(attribute.values)
    if attribute.written == "string" and not _in_list(attribute.path):
        leaf = Leaf(attribute.path, Literal[attribute.values], attribute.required)
        return replace(plain, leaves=(leaf,), checked=True)

    def make(found: Values) -> Texts:
        column: Texts = plain.make(found)
        if not allowed.issuperset([value for value in column if value is not None]):
            raise values.refused("Expected one of the values that the source spec names", attribute.path)
        return column

    return replace(plain, make=make, checked=False)


def _address(name: str, attribute: IpAttribute) -> Field:
    most = values.IP_CHARACTERS_MAX
    plain = _text(name, attribute.path, "string", (int(attribute.required), most), attribute.required)
    return replace(plain, make=lambda found: values.addresses(plain.make(found), attribute.path), checked=False)


def _number(name: str, attribute: NumberAttribute) -> Field:
    low, high = attribute.low, attribute.high
    comma = attribute.decimal == "comma"
    as_given = not attribute.scale and not comma and attribute.drop is None
    native = attribute.written == "number" and as_given
    leaf = Leaf(attribute.path, _number_kind(attribute.written, (low, high) if native else None), attribute.required)

    plain = native and not _in_list(attribute.path)

    def make(found: Values) -> Floats:
        if plain:
            return values.decoded(found[attribute.path])
        column = values.numbers(
            found[attribute.path], attribute.path, attribute.scale, (low, high), attribute.drop, comma=comma
        )
        return _there(column, attribute.path, attribute.required)

    return Field(name, (leaf,), make, plain, text=False)


def _flag(name: str, attribute: FlagAttribute) -> Field:
    yes, no = frozenset(attribute.yes or ("true",)), frozenset(attribute.no or ("false",))
    words = Annotated[str, msgspec.Meta(max_length=200)]
    kind = {"boolean": bool, "string": words, "number": INTEGER, "any": words | INTEGER | bool}[attribute.written]
    plain = attribute.written == "boolean" and not _in_list(attribute.path)

    def make(found: Values) -> Floats:
        if plain:
            return values.decoded_flags(found[attribute.path])
        column = values.flags(found[attribute.path], attribute.path, yes, no)
        return _there(column, attribute.path, attribute.required)

    return Field(name, (Leaf(attribute.path, kind, attribute.required),), make, plain, text=False)


def _time(name: str, attribute: TimeAttribute) -> Field:
    convert = values.to_ms(attribute, attribute.path)
    leaf = Leaf(attribute.path, values.time_kind(attribute, attribute.written), attribute.required)

    def make(found: Values) -> Floats:
        return _there(np.array(convert(found[attribute.path]), np.float64), attribute.path, attribute.required)

    return Field(name, (leaf,), make, checked=False, text=False)


def _places(name: str, attribute: GeoAttribute) -> Iterator[Field]:
    sides = (("latitude", attribute.latitude, 90.0), ("longitude", attribute.longitude, 180.0))
    native = attribute.written == "number" and not any(_in_list(path) for path in attribute.paths)

    def made(found: Values, which: int) -> Floats:
        both = []
        for _, path, most in sides:
            column = values.numbers(found[path], path, 0, (-most, most))
            both.append(_there(column, path, attribute.required))
        if (np.isnan(both[0]) != np.isnan(both[1])).any():
            raise values.refused("Expected a latitude and a longitude, or neither,", attribute.latitude)
        return both[which]

    for which, (side, path, most) in enumerate(sides):
        leaf = Leaf(path, _number_kind(attribute.written, (-most, most)), attribute.required)
        checked = native and attribute.required
        yield Field(f"{name}.{side}", (leaf,), partial(made, which=which), checked, text=False)


def _number_kind(written: str, bounds: tuple[float, float] | None) -> Any:
    """The type of a number: native bounds where the number is the value itself."""
    number: Any = float if bounds is None else Annotated[float, msgspec.Meta(ge=bounds[0], le=bounds[1])]
    text = Annotated[str, msgspec.Meta(max_length=values.NUMBER_CHARACTERS_MAX)]
    return {"number": number, "string": text, "any": number | text}[written]


def _in_list(path: str) -> bool:
    """Whether what lies there may be absent although it is required: a list may be too short."""
    return any(isinstance(part, int) for part in parts(path))


def _held(column: Texts, path: str, required: bool) -> Texts:
    if required and None in column:
        raise values.refused("Expected a text", path)
    return column


def _there(column: Floats, path: str, required: bool) -> Floats:
    if required and np.isnan(column).any():
        raise values.refused("Expected a value", path)
    return column


def _present(found: Sequence[int | None], path: str) -> Sequence[int | None]:
    if None in found:
        raise values.refused("Expected a time", path)
    return found
