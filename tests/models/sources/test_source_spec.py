"""A source spec is read from YAML; what is wrong with it is said in one sentence with its line."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from models.sources.parser import EventParser
from models.sources.spec_file import SourceSpecError, default_source, load_source, parse_source
from schemas.conditions import Condition
from schemas.paths import parts, shown
from schemas.source_spec import SourceSpec

DEFAULT_DIGEST = "854623347cfbe3247adc25b59f13ef599f1db20755a1e87b51332a6b99f88045"

GOOD = """\
version: 1
topic: payments.authorised.v2
select:
  - {path: type, in: [AUTH, "NO", 7]}
  - not: {path: test.run, equals: true}
event:
  id: {path: header.id}
  time: {path: header.at, format: iso8601}
  subject: {path: card.token}
  amount: {path: amount.value, scale: 2, at_least: -1e9}
  currency: {path: amount.currency}
attributes:
  device: {path: device.id, type: id}
  price: {path: "items[0].price", type: number, at_least: 0, at_most: 10}
  place: {type: geo, latitude: place.lat, longitude: place.lon}
  trusted: {type: flag, path: trusted, yes: [Y], no: [N]}
"""


def test_the_digest_of_the_default_does_not_move() -> None:
    """Bundles and snapshots hold it."""
    assert default_source().digest() == DEFAULT_DIGEST


def test_the_canonical_form_tells_specs_apart_by_meaning_not_by_wording() -> None:
    """A default written out changes nothing, another path does."""
    spec = parse_source(GOOD)
    assert parse_source(GOOD + "format: json\n").digest() == spec.digest()
    assert parse_source(GOOD.replace("device.id", "device.key")).digest() != spec.digest()


def test_a_spec_survives_the_manifest() -> None:
    """Through JSON and back it is the same, whether or not the names of conditions are those of the file."""

    class Holder(BaseModel):
        source: SourceSpec

    spec = parse_source(GOOD)
    holder = Holder(source=spec)
    assert Holder.model_validate_json(holder.model_dump_json()).source == spec
    assert Holder.model_validate_json(holder.model_dump_json(by_alias=True)).source == spec


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("topic: payments.authorised.v2", "topic: my topic", 2, "topic"),
        ("type: id}", "type: idd}", 13, "number, category, flag"),
        ("type: id}", "typ: id}", 13, "add `type`"),
        ("{path: type, in:", "{path: type, inn:", 4, "correct its spelling"),
        ("path: device.id", "path: card", 9, "lies within the value that attributes.device reads"),
        ("path: device.id", 'path: "device..id"', 13, "is no path at character 7"),
        ("path: device.id", "path: $key", 13, "kept for the record's key"),
        ("path: device.id", 'path: "card[0]"', 13, "a list in one path and an object in another"),
        ("path: device.id", 'path: "a[0][1]"', 13, "list within a list"),
        ("format: iso8601", "colour: red", 8, "correct its spelling"),
        (", format: iso8601", "", 8, "needs either unit"),
        ("format: iso8601", "format: iso8601, unit: ms", 8, "needs either unit"),
        ("format: iso8601", "format: '%Y-%m-%d %H:%M'", 8, "add time_zone"),
        ("format: iso8601", "format: '%d.%m.%y', time_zone: UTC", 8, "is not iso8601"),
        ("format: iso8601", "format: '%Y-%m-%d', time_zone: Mars/Olympus", 8, "Europe/Paris"),
        ("format: iso8601", "format: iso8601, time_zone: UTC", 8, "remove it"),
        ("  device:", "  amount:", 13, "choose another"),
        ("  device:", "  terminal_id:", 13, "choose another"),
        ("version: 1\n", "", 1, "version: add it"),
        ("equals: true", "equals: true, exists: true", 5, "only bounds stand together"),
        (", equals: true", "", 5, "needs a comparison"),
        ("path: test.run, equals", "equals", 5, "needs the path"),
        ("at_least: 0, at_most: 10", "at_least: 11, at_most: 10", 14, "exchange them"),
        ("yes: [Y], no: [N]", "yes: [Y]", 16, "given together"),
        ("yes: [Y], no: [N]", "yes: [Y], no: [Y]", 16, "cannot mean both"),
        ("currency: {path: amount.currency}", "currency: {path: amount.currency, fixed: EUR}", 11, "give one"),
        ("scale: 2", "scale: 2.5", 10, "integer"),
        ("version: 1", "version: [1", 2, "not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_fix(old: str, new: str, line: int, words: str) -> None:
    """One sentence: the file, the line, what to do."""
    assert old in GOOD
    with pytest.raises(SourceSpecError) as caught:
        parse_source(GOOD.replace(old, new, 1), "my.yaml")
    message = str(caught.value)
    assert message.startswith(f"my.yaml, line {line}: "), message
    assert words in message
    assert "\n" not in message


def test_one_value_read_in_two_ways_is_refused_when_the_parser_is_made() -> None:
    """It has one type in JSON."""
    text = GOOD.replace("path: device.id, type: id", "path: header.at, type: number")
    with pytest.raises(SourceSpecError, match=r"header\.at is read by two fields in two ways"):
        EventParser(parse_source(text))


def test_yaml_is_read_as_its_version_1_2_has_it() -> None:
    """Norway's code is no boolean, a time of day no number of minutes, a date a text."""
    select = parse_source(GOOD.replace('"NO", 7', "NO, on, 12:30, 2026-01-01")).select[0]
    assert select.one_of == ("AUTH", "NO", "on", "12:30", "2026-01-01")


def test_conditions_nest_to_a_bound() -> None:
    """A deeper one is a sentence, not an exhausted stack."""
    condition = '{"path": "a", "exists": true}'
    for _ in range(7):
        condition = f'{{"not": {condition}}}'
    assert Condition.model_validate_json(condition).depth == 8
    with pytest.raises(ValueError, match="flatten it"):
        Condition.model_validate_json(f'{{"not": {condition}}}')


@pytest.mark.parametrize("path", ["a", "a.b.c", "items[0].price", 'a["x.y"].b', "a-b.c d", "é.@type", "a[0].b[999]"])
def test_a_path_is_shown_as_it_is_written(path: str) -> None:
    """Its parts, put together, are the path."""
    assert shown(parts(path)) == path


@pytest.mark.parametrize("path", ["", ".", "a.", "a..b", "[0]", "a[", "a[x]", "a]", "$a", "a.b" * 20, "a[1000]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    """In a sentence."""
    with pytest.raises(ValueError, match=r"path|begin|levels"):
        parts(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With what to do instead."""
    with pytest.raises(SourceSpecError, match=r"none\.yaml cannot be read"):
        load_source(tmp_path / "none.yaml")
