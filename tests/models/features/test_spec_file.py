"""A spec is read from YAML; what is wrong with it is said in one sentence with its line."""

from pathlib import Path

import pytest

from models.features.spec_file import FeatureSpecError, load_spec, parse_spec
from schemas.feature_spec import FeatureSpec

DEFAULT_FILE = Path("deploy/features/fraud.yaml")
DEFAULT_DIGEST = "402e10114838e0c47e47aeacab6e697ecf2e8ba8d9cc81b6ca431b1f275320b8"

GOOD = """\
version: 1
keys: {card: card_id}
windows:
  - {duration: 10m, buckets: 10}
features:
  - {name: amount, kind: field, field: amount}
  - name: count_10m
    kind: window
    key: card
    aggregation: count
    window: 10m
"""


def test_the_default_spec_has_its_features() -> None:
    """Their names, in order; the first five are not windows, the last six are of the terminal."""
    spec = load_spec(DEFAULT_FILE)
    assert spec.names[:5] == ("amount", "hour", "is_weekend", "is_night", "seconds_since_last")
    assert len(spec.names) == 26
    assert spec.descriptions[spec.names.index("card_count_10m")] == "payments of this card in the last 10 minutes"


def test_the_digest_of_a_spec_does_not_move() -> None:
    """Snapshots and bundles hold it: another digest for the same spec would void them all."""
    assert load_spec(DEFAULT_FILE).digest() == DEFAULT_DIGEST


def test_the_digest_tells_specs_apart_by_meaning_not_by_wording() -> None:
    """A default written out changes nothing, another bucket count does."""
    spec = parse_spec(GOOD)
    assert parse_spec(GOOD + "time_zone: UTC\n").digest() == spec.digest()
    assert parse_spec(GOOD.replace("buckets: 10", "buckets: 5")).digest() != spec.digest()


def test_a_spec_survives_the_manifest() -> None:
    """Through JSON and back it is the same."""
    spec = load_spec(DEFAULT_FILE)
    assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_description_of_ones_own_replaces_the_derived_one() -> None:
    """Alert reasons quote it."""
    spec = parse_spec(GOOD.replace("field: amount}", "field: amount, description: paid}"))
    assert spec.descriptions == ("paid", "payments of this card in the last 10 minutes")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("aggregation: count", "aggregation: median", 10, "'count', 'sum'"),
        ("window: 10m", "window: 1h", 11, "declare it under windows"),
        ("key: card", "key: terminal", 9, "declare it under keys"),
        ("    aggregation: count\n", "", 7, "aggregation: add it"),
        ("kind: field, field", "knid: field, field", 6, "add `kind`"),
        ("kind: window", "kind: widnow", 7, "kind"),
        ("    window: 10m", "    window: 10m\n    colour: red", 12, "correct its spelling"),
        ("name: count_10m", "name: amount", 7, "choose another"),
        ("buckets: 10", "buckets: 7", 4, "choose a divisor"),
        (
            "duration: 10m, buckets: 10}",
            "duration: 10m, buckets: 10}\n  - {duration: 600s, buckets: 2}",
            5,
            "remove one",
        ),
        ("version: 1", "version: 1\ntime_zone: Mars/Olympus", 2, "Europe/Paris"),
        ("duration: 10m,", "duration: ten minutes,", 4, "pattern"),
        ("keys: {card: card_id}", "keys: {card: amount}", 2, "card_id"),
        ("aggregation: count", "aggregation: distinct", 10, "add for example of: terminal_id"),
        ("    window: 10m", "    window: 10m\n    of: country", 12, "remove it"),
        (
            "window\n    key: card\n    aggregation: count\n    window: 10m",
            "profile\n    aggregation: count\n    window: 36h",
            10,
            "7d",
        ),
        (
            "window\n    key: card\n    aggregation: count\n    window: 10m",
            "profile\n    aggregation: count\n    window: 55d",
            10,
            "shorten",
        ),
        ("version: 1", "version: [1", 2, "not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_fix(old: str, new: str, line: int, words: str) -> None:
    """One sentence: the file, the line, what to do."""
    assert old in GOOD
    with pytest.raises(FeatureSpecError) as caught:
        parse_spec(GOOD.replace(old, new, 1), "my.yaml")
    message = str(caught.value)
    assert message.startswith(f"my.yaml, line {line}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "- 1", "just words", "features: []", "\x00"])
def test_something_else_than_a_spec_is_refused_in_a_sentence(text: str) -> None:
    """Never a traceback of another kind."""
    with pytest.raises(FeatureSpecError, match="spec"):
        parse_spec(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With what to do instead."""
    with pytest.raises(FeatureSpecError, match=r"none\.yaml cannot be read"):
        load_spec(tmp_path / "none.yaml")
