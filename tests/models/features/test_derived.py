"""Prefixes of addresses, lists of networks, amounts in one currency: what a spec makes of an event before any feature."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.derived import listed, prefix
from models.features.entities import EntityFolds
from models.features.fold import fold, warm
from models.features.layout import id_fields, number_fields, stream_fields
from models.features.offline import history_features
from models.features.spec_file import FeatureSpecError, load_spec, parse_spec
from models.features.state import FeatureState
from models.files.currencies import currency_problems
from models.files.events import read_events
from models.sources.fits import misfit
from models.sources.parser import EventParser
from models.sources.spec_file import parse_source
from schemas import codec
from schemas.derived import Currencies
from schemas.times import TIME_MS_MIN
from services.engine.decode import Decoder
from services.engine.faults import TimeLimits
from tests.services.engine.test_decode import record

START_MS = 1_767_225_600_000
SOURCE = parse_source("""
version: 1
topic: mine
event:
  id: {path: id}
  time: {path: at, unit: ms}
  subject: {path: card}
  amount: {path: amount}
  currency: {path: currency}
attributes:
  ip: {type: ip, path: ip}
  where: {type: geo, latitude: lat, longitude: lon}
""")
HEAD = "version: 1\nkeys: {card: card_id, net: net}\nderived: {net: {kind: prefix, attribute: ip, bits: 24}}\n"
FEATURES = """
windows: [{duration: 1h, buckets: 6}]
features:
  - {name: amount, kind: field, field: amount}
  - {name: sum_1h, kind: window, key: card, aggregation: sum, window: 1h}
  - {name: net_cards, kind: novelty, key: net, of: card_id, part: count}
  - {name: new_net, kind: novelty, key: card, of: net, part: first, missing: 0}
  - {name: hosting, kind: network, attribute: ip, part: listed, networks: hosting, missing: 0}
  - {name: kmh, kind: place, key: card, attribute: where, part: speed}
"""
RATES = "currencies: {only: EUR, rates: {USD: 0.5, JPY: 0.01}}\n"
SPEC = parse_spec(HEAD + RATES + "networks: {hosting: [192.0.2.0/25, 2001:db8::/32]}\n" + FEATURES)


def payload(place: int, **fields: object) -> bytes:
    """An event of the source."""
    event = {"id": f"e-{place}", "at": START_MS + 60_000 * place, "card": "a", "amount": 10, "currency": "EUR"}
    return json.dumps(event | fields).encode()


EVENTS = [
    payload(0, ip="192.0.2.1", lat=54.7, lon=25.3),
    payload(1, ip="192.0.2.200", currency="USD", lat=54.7, lon=25.3),
    payload(2, ip="::ffff:192.0.2.3", currency="JPY", amount=1000),
    payload(3, ip="2001:db8:1::5", card="b", lat=0, lon=0),
    payload(4, lat=55.7, lon=25.3),
]
EXPECTED = [
    [10, 10, 1, 1, 1, -1],
    [5, 15, 1, 0, 0, 0],
    [10, 25, 1, 0, 1, -1],
    [10, 10, 1, 1, 1, -1],
    [10, 35, 1, 0, 0, 20 * 111.195],
]


@pytest.mark.slow
def test_addresses_networks_and_currencies_are_made_before_any_feature() -> None:
    """A sum is in one currency, a prefix is a key like any other, a mapped address is the one that it stands for."""
    events = EventParser(SOURCE, SPEC.currencies).batch(EVENTS)
    assert events is not None
    warm(SPEC)
    matrix, _ = fold(FeatureState(SPEC, 10), events.columns(stream_fields(SPEC), None, number_fields(SPEC)))
    np.testing.assert_allclose(matrix, EXPECTED, rtol=1e-4)


def test_a_file_gives_the_stream_s_bits(tmp_path: Path) -> None:
    """Of places, prefixes and converted amounts, too."""
    events = EventParser(SOURCE, SPEC.currencies).batch(EVENTS)
    assert events is not None
    live, _ = fold(FeatureState(SPEC, 10), events.columns(stream_fields(SPEC), None, number_fields(SPEC)))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(EVENTS))
    fields = read_events(file, SOURCE)
    rows = {column.name: column.to_numpy() for column in fields}
    assert history_features(SPEC, rows, np.zeros(len(fields), np.int64), 1).tobytes() == live.tobytes()


def test_an_event_in_another_currency_is_one_dead_letter_and_its_neighbours_are_scored() -> None:
    """It names the path and the currencies that are taken, never the value."""
    decoder = Decoder(65_536, TimeLimits(10**12, TIME_MS_MIN), source=SOURCE, currencies=SPEC.currencies)
    payloads = [EVENTS[0], payload(7, currency="XXX"), payload(8, currency=None), EVENTS[1]]
    found = decoder.decode([record(place, value) for place, value in enumerate(payloads)])
    assert [record.offset for record in found.records] == [0, 3]
    assert [fault.detail for fault in found.faults] == [
        "Expected a currency of the feature spec (EUR, JPY, USD) at $.currency"
    ] * 2


def test_an_event_without_a_currency_is_taken_where_the_spec_says_which_it_is_in() -> None:
    """And counts in that one."""
    spec = parse_spec(HEAD + RATES.replace("{only", "{missing: USD, only") + FEATURES.replace(HOSTING, ""))
    events = EventParser(SOURCE, spec.currencies).batch([payload(0, currency=None)])
    assert events is not None
    matrix, _ = fold(FeatureState(spec, 10), events.columns(stream_fields(spec), None, number_fields(spec)))
    assert matrix[0, 0] == 5


HOSTING = next(line + "\n" for line in FEATURES.splitlines() if "hosting" in line)


def test_amounts_of_several_currencies_are_not_added_without_a_word() -> None:
    """A source that names currencies asks the feature spec for one, where a window adds amounts."""
    plain = FEATURES.replace(HOSTING, "")
    said = misfit(parse_spec(HEAD + plain), SOURCE)
    assert said is not None
    assert "currencies: {only: EUR}" in said
    assert misfit(parse_spec(HEAD + "currencies: {only: EUR}\n" + plain), SOURCE) is None
    assert misfit(parse_spec(HEAD + plain.replace("aggregation: sum", "aggregation: count")), SOURCE) is None
    fixed = SOURCE.model_copy(update={"event": SOURCE.event.model_copy(update={"currency": None})})
    assert "has none" in str(misfit(parse_spec(HEAD + RATES + plain), fixed))


def test_rows_of_a_file_in_another_currency_are_refused() -> None:
    """As the stream's events are."""
    fields = pl.DataFrame({"currency": ["EUR", "USD", "GBP", None]})
    assert currency_problems(fields, Currencies(only="EUR", rates={"USD": 0.5})).is_null().to_list() == [
        True,
        True,
        False,
        False,
    ]
    taken = currency_problems(fields, Currencies(only="EUR", missing="EUR")).is_null().to_list()
    assert taken == [True, False, False, True]
    assert currency_problems(fields, None).is_null().all()


def test_networks_are_found_at_their_edges() -> None:
    """Of both versions; what is no address is of none."""
    found = listed(["10.0.0.0/30", "10.0.0.4/31", "2001:db8::/127"])
    edges = ["10.0.0.0", "10.0.0.5", "10.0.0.6", "9.255.255.255", "2001:db8::1", "2001:db8::2", "::ffff:10.0.0.1"]
    assert [found(address) for address in edges] == [1, 1, 0, 0, 1, 0, 1]
    assert math.isnan(found(NO_VALUE))
    assert [prefix("10.1.2.3", 16, 48), prefix("2001:db8:1:2::3", 16, 48)] == ["10.1.0.0/16", "2001:db8:1::/48"]
    assert prefix("none", 24, 48) == NO_VALUE


def test_a_list_of_networks_is_read_beside_the_spec_and_is_part_of_it(tmp_path: Path) -> None:
    """In any order, joined where they touch; a bad line is named."""
    head = HEAD.replace("card_id, net: net}", "card_id}\nentities: {net: {id: net}}")
    text = head + "networks: {hosting: {file: lists/hosting.txt}}\n" + RATES + FEATURES
    (tmp_path / "lists").mkdir()
    (tmp_path / "spec.yaml").write_text(text)
    file = tmp_path / "lists" / "hosting.txt"
    file.write_text("# theirs\n2001:db8::/32\n192.0.2.64/26  # a note\n\n192.0.2.0/26\n")
    listed = "networks: {hosting: [192.0.2.0/25, 2001:db8::/32]}\n"
    assert load_spec(tmp_path / "spec.yaml").digest() == parse_spec(head + RATES + listed + FEATURES).digest()
    file.write_text("192.0.2.0/26\n192.0.2.1/26\n")
    with pytest.raises(FeatureSpecError, match=r"hosting\.txt, line 2: not a network"):
        load_spec(tmp_path / "spec.yaml")
    file.unlink()
    with pytest.raises(FeatureSpecError, match="one a line"):
        load_spec(tmp_path / "spec.yaml")
    with pytest.raises(FeatureSpecError, match="list them here"):
        parse_spec(text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("part: listed, networks: hosting", "part: listed", "name of one of the spec's networks"),
        ("part: listed, networks: hosting", "part: private, networks: hosting", "correct one"),
        ("networks: hosting", "networks: proxies", "declare it under networks"),
        ("192.0.2.0/25", "192.0.2.1/25", "is no network"),
        ("USD: 0.5", "EUR: 0.5", "remove its rate"),
        ("only: EUR", "only: EUR, missing: GBP", "has no rate"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_fix(old: str, new: str, words: str) -> None:
    """In one sentence."""
    text = HEAD + RATES + "networks: {hosting: [192.0.2.0/25]}\n" + FEATURES
    with pytest.raises(FeatureSpecError, match=words):
        parse_spec(text.replace(old, new, 1))


def test_a_derived_id_is_made_of_an_address_that_the_source_has() -> None:
    """Under a name of its own."""
    text = (HEAD + RATES + FEATURES).replace(HOSTING, "")
    of_a_place = text.replace("attribute: ip", "attribute: where")
    assert "name an address" in str(misfit(parse_spec(of_a_place), SOURCE))
    taken = text.replace("net: {kind", "where: {kind").replace("net: net", "net: where").replace("of: net", "of: where")
    assert "choose another name" in str(misfit(parse_spec(taken), SOURCE))
    assert id_fields(SPEC) == {"card_id", "ip", "currency"}


def test_the_parser_refuses_an_unknown_currency_by_row_as_in_a_batch() -> None:
    """So a batch with one such event is judged event by event."""
    parser = EventParser(SOURCE, SPEC.currencies)
    assert parser.batch([EVENTS[0], payload(1, currency="XXX")]) is None
    with pytest.raises(codec.SchemaError, match="Expected a currency"):
        parser.row(payload(1, currency="XXX"))


def test_a_spec_that_derives_nothing_costs_no_step() -> None:
    """The columns are taken as they are."""
    spec = parse_spec("version: 1\nfeatures: [{name: amount, kind: field, field: amount}]\n")
    assert FeatureState(spec, 1).derive is None
    columns = TransactionColumns({"card_id": ["a"]}, np.array([START_MS]), np.ones(1))
    assert fold(FeatureState(spec, 1), columns)[0].tolist() == [[1.0]]


@pytest.mark.parametrize("key", ["card", "address"])
@pytest.mark.parametrize("aggregation", ["sum", "mean", "max", "std", "ratio"])
def test_no_window_adds_or_compares_amounts_of_several_currencies_unasked(aggregation: str, key: str) -> None:
    """Of a subject's events and of an entity's; a count asks for no currency."""
    text = (
        "version: 1\nkeys: {card: card_id}\nentities: {address: {id: ip}}\nCURRENCIES"
        "windows: [{duration: 1h, buckets: 6}]\nfeatures:\n"
        f"  - {{name: x, kind: window, key: {key}, aggregation: AGGREGATION, window: 1h}}\n"
    )
    asked = text.replace("AGGREGATION", aggregation)
    assert "Feature x adds amounts up" in str(misfit(parse_spec(asked.replace("CURRENCIES", "")), SOURCE))
    assert misfit(parse_spec(asked.replace("CURRENCIES", "currencies: {only: EUR}\n")), SOURCE) is None
    assert misfit(parse_spec(text.replace("AGGREGATION", "count").replace("CURRENCIES", "")), SOURCE) is None


def test_an_entitys_sum_is_in_the_specs_currency() -> None:
    """Converted once, before any history."""
    spec = parse_spec(
        "version: 1\nkeys: {card: card_id}\nentities: {address: {id: ip}}\n"
        + RATES
        + "windows: [{duration: 1h, buckets: 6}]\n"
        "features:\n  - {name: x, kind: window, key: address, aggregation: sum, window: 1h}\n"
    )
    events = EventParser(SOURCE, spec.currencies).batch(
        [payload(place, ip="192.0.2.1", currency=code) for place, code in enumerate(("EUR", "USD", "JPY"))]
    )
    assert events is not None
    columns = events.columns({"card_id", "terminal_id", "ip", "currency"}, None)
    assert EntityFolds(spec, 10).values(columns)[:, 0].tolist() == pytest.approx([10.0, 15.0, 15.1])
