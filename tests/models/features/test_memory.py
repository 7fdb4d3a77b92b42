"""Windows over attributes and by condition, and novelty: equal to plain Python over the raw history, whatever the cut."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import memory
from models.features.columns import NO_VALUE, TransactionColumns
from models.features.explain import key_bytes, table
from models.features.fold import fold, warm
from models.features.layout import id_fields, memory_of, number_fields, program
from models.features.spec_file import FeatureSpecError, parse_spec
from models.features.state import FeatureState
from models.sources.fits import misfit
from models.sources.spec_file import parse_source
from schemas.conditions import Condition
from schemas.feature_kinds.history import NoveltyFeature, PlaceFeature, WindowFeature
from schemas.feature_spec import FeatureSpec
from tests.models.features.reference import fold_in_parts

START_MS = 1_767_225_600_000
REMEMBERED = 3
SPEC = parse_spec("""
version: 1
allowed_lateness: 90s
keys: {card: card_id, device: device}
derived: {net: {kind: prefix, attribute: ip}}
windows: [{duration: 30s, buckets: 30}, {duration: 10m, buckets: 10}, {duration: 2d, buckets: 2}]
features:
  - {name: amount, kind: field, field: amount}
  - {name: declined_30s, kind: window, key: card, aggregation: count, window: 30s, where: {path: approved, equals: false}}
  - {name: declined_10m, kind: window, key: card, aggregation: count, window: 10m, where: {path: approved, equals: false}}
  - {name: cash_2d, kind: window, key: card, aggregation: sum, window: 2d, where: {path: entry, in: [cash, atm]}}
  - {name: cash_ratio, kind: window, key: card, aggregation: ratio, window: 2d, where: {path: entry, in: [cash, atm]}, empty: 7}
  - {name: tip_mean, kind: window, key: card, aggregation: mean, window: 10m, field: tip, empty: -1}
  - {name: tip_max, kind: window, key: card, aggregation: max, window: 10m, field: tip, empty: -1}
  - {name: tip_std, kind: window, key: card, aggregation: std, window: 2d, field: tip}
  - {name: tips_2d, kind: window, key: card, aggregation: count, window: 2d, field: tip, transform: log1p}
  - {name: big_2d, kind: window, key: card, aggregation: sum, window: 2d, field: tip,
     where: {any: [{path: amount, above: 500}, {not: {path: tip, exists: true}}]}}
  - {name: device_cash, kind: window, key: device, aggregation: count, window: 2d,
     where: {all: [{path: entry, equals: cash}, {path: amount, at_least: 1}]}}
  - {name: new_device, kind: novelty, key: card, of: device, part: first, window: 10m, remembered: 3, missing: -1}
  - {name: never_device, kind: novelty, key: card, of: device, part: first, remembered: 3, missing: -1}
  - {name: devices, kind: novelty, key: card, of: device, part: count, window: 10m, remembered: 3}
  - {name: since_device, kind: novelty, key: card, of: device, part: since, remembered: 3, at_most: 1d, missing: -1,
     transform: log1p}
  - {name: device_cards, kind: novelty, key: device, of: card_id, part: count, remembered: 3}
  - {name: entries, kind: novelty, key: card, of: entry, part: count, window: 2d}
  - {name: new_net, kind: novelty, key: card, of: net, part: first, window: 2d, missing: 0}
  - {name: km, kind: place, key: card, attribute: where, part: distance}
  - {name: kmh, kind: place, key: card, attribute: where, part: speed, at_most: 5000, transform: log1p, missing: 0}
""")
"""Every part, of two keys, two windows of one series, tables that overflow."""

NOTHING_NEW = parse_spec("""
version: 1
keys: {card: card_id}
windows: [{duration: 1h, buckets: 6}]
features: [{name: count, kind: window, key: card, aggregation: count, window: 1h}]
""")

pytestmark = pytest.mark.usefixtures("_compiled")


@pytest.fixture(scope="module")
def _compiled() -> None:
    warm(SPEC)


@st.composite
def streams(draw: st.DrawFn, size_max: int = 40) -> TransactionColumns:
    """Two cards with few devices and more, bursts, pauses, steps back within the lateness and beyond it."""
    steps_s = st.one_of(st.integers(0, 20), st.integers(-200, 900), st.integers(0, 86_400))
    event = st.tuples(
        st.sampled_from("ab"),
        steps_s,
        st.integers(0, 999),
        st.integers(0, 100_000),
        st.sampled_from(["cash", "atm", "chip", NO_VALUE]),
        st.sampled_from(["d1", "d2", "d3", "d4", "d5", NO_VALUE]),
        st.sampled_from([1.0, 0.0, math.nan]),
        st.sampled_from([math.nan, 0.0, 2.5, -4.0, 10.0]),
        st.sampled_from(
            ["10.0.0.1", "10.0.0.9", "10.0.7.1", "::ffff:10.0.0.3", "2001:db8::1", "2001:db8::2", NO_VALUE]
        ),
        st.sampled_from([(54.7, 25.3), (54.7, 25.31), (-33.9, 151.2), (90.0, 0.0), (math.nan, math.nan)]),
    )
    events = draw(st.lists(event, max_size=size_max))
    times = np.int64(START_MS) + np.cumsum([1000 * step + ms for _, step, ms, *_ in events], dtype=np.int64)
    columns = zip(*events, strict=True) if events else ([],) * 10
    cards, _, _, cents, entries, devices, approved, tips, addresses, places = map(list, columns)
    degrees = np.array(places, np.float64).reshape(-1, 2)
    return TransactionColumns(
        {"card_id": cards, "terminal_id": cards, "entry": entries, "device": devices, "ip": addresses},
        times,
        np.array(cents, np.float64) / 100,
        numbers={
            "approved": np.array(approved, np.float64),
            "tip": np.array(tips, np.float64),
            "where.latitude": degrees[:, 0],
            "where.longitude": degrees[:, 1],
        },
    )


Event = dict[str, Any]


@dataclass
class Oracle:
    """The features from lists of raw events, by key and id."""

    history: dict[tuple[str, str], list[Event]] = field(default_factory=dict)
    met: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)

    def score(self, event: Event) -> tuple[list[float], bool]:
        """The features of one event and whether it is late; then remembers it."""
        row = [self._feature(feature, event) for feature in SPEC.features]
        late = {
            key: event["ms"] < max((one["ms"] for one in self._past(key, event)), default=event["ms"]) - 90_000
            for key in SPEC.keys
        }
        for key, name in SPEC.keys.items():
            if not (late["card"] or late[key]):
                self.history.setdefault((key, event[name]), []).append(event)
                for of in memory.met_fields(SPEC, key):
                    self._meet(self.met.setdefault((key, event[name], of), {}), event[of], event["ms"] // 1000, key, of)
        return row, late["card"]

    def _meet(self, met: dict[str, int], value: str, now_s: int, key: str, of: str) -> None:
        if value == NO_VALUE:
            return
        if value not in met and len(met) == memory.met_fields(SPEC, key)[of]:
            oldest = min(met, key=lambda one: met[one])  # the earlier slot of equals, and a slot keeps its place
            replaced = {(value if one == oldest else one): (now_s if one == oldest else s) for one, s in met.items()}
            met.clear()
            met.update(replaced)
        else:
            met[value] = max(met.get(value, 0), now_s)

    def _past(self, key: str, event: Event) -> list[Event]:
        return self.history.get((key, event[SPEC.keys[key]]), [])

    def _feature(self, feature: Any, event: Event) -> float:
        if isinstance(feature, PlaceFeature):
            found = self._place(feature, event)
            if found is None:
                return feature.missing
            value = found
        elif isinstance(feature, NoveltyFeature):
            value = self._novelty(feature, event)
        elif isinstance(feature, WindowFeature):
            value = self._window(feature, event)
        else:
            value = event["amount"]
        missing = getattr(feature, "missing", None)
        plain = isinstance(feature, NoveltyFeature) and missing is not None and event[feature.of] == NO_VALUE
        return math.log1p(value) if getattr(feature, "transform", "none") == "log1p" and not plain else value

    def _novelty(self, feature: NoveltyFeature, event: Event) -> float:
        met = self.met.get((feature.key, event[SPEC.keys[feature.key]], feature.of), {})
        value, now_s = event[feature.of], event["ms"] // 1000
        recent = {one for one, s in met.items() if feature.window is None or s > now_s - feature.window_s}
        if feature.part == "count":
            return min(len(recent | ({value} - {NO_VALUE})), feature.remembered)
        if value == NO_VALUE:
            return float(feature.missing or 0)
        if feature.part == "first":
            return float(value not in recent)
        return min(max(now_s - met[value], 0), feature.at_most_s) if value in recent else feature.at_most_s

    def _place(self, feature: PlaceFeature, event: Event) -> float | None:
        placed = [one for one in self._past(feature.key, event) if not math.isnan(one["where.latitude"])]
        if not placed or math.isnan(event["where.latitude"]):
            return None
        last = max(reversed(placed), key=lambda one: one["ms"])
        north, south = (np.array(unit(one["where.latitude"], one["where.longitude"])) for one in (last, event))
        km = 6371.0088 * math.atan2(float(np.linalg.norm(np.cross(north, south))), float(north @ south))
        hours = max(abs(event["ms"] - last["ms"]), 1000) / 3_600_000
        return min(km if feature.part == "distance" else km / hours, feature.at_most)

    def _window(self, feature: WindowFeature, event: Event) -> float:
        window = next(one for one in SPEC.windows if one.duration == feature.window)
        counted = [one for one in self._past(feature.key, event) if self._counts(feature, one)]
        now = event["ms"] // window.bucket_ms
        newest = max((one["ms"] // window.bucket_ms for one in counted), default=now)
        reach = max(one.buckets for one in SPEC.windows if one.bucket_ms == window.bucket_ms)
        oldest = max(now - window.buckets, newest - reach - -(-90_000 // window.bucket_ms))
        inside = [one for one in counted if oldest < one["ms"] // window.bucket_ms <= now]
        inside += [event] if self._counts(feature, event) else []
        numbers = np.array([one[feature.field] for one in inside])
        if feature.aggregation in ("count", "sum"):
            return float(len(numbers) if feature.aggregation == "count" else numbers.sum())
        if not len(numbers) or (feature.aggregation == "ratio" and not self._counts(feature, event)):
            return feature.empty or 0.0
        if feature.aggregation == "ratio":
            return event[feature.field] / numbers.mean() if numbers.mean() > 0 else 1.0
        return float({"mean": np.mean, "max": np.max, "std": np.std}[feature.aggregation](numbers))  # type: ignore[operator]

    def _counts(self, feature: WindowFeature, event: Event) -> bool:
        return not math.isnan(event[feature.field]) and (feature.where is None or holds(feature.where, event))


def unit(latitude: float, longitude: float) -> tuple[float, float, float]:
    """A point on the sphere, to measure angles without the formula that is tested."""
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


NETS = {"10.0.0.1": "a", "10.0.0.9": "a", "::ffff:10.0.0.3": "a", "10.0.7.1": "b", NO_VALUE: NO_VALUE}


def holds(where: Condition, event: Event) -> bool:
    """The conditions of SPEC, one event at a time."""
    if where.negated:
        return not holds(where.negated, event)
    if where.inner:
        return (all if where.every else any)(holds(one, event) for one in where.inner)
    value = event[str(where.path)]
    if where.exists is not None:
        return where.exists != math.isnan(value)
    if where.equals is not None:
        return bool(value == where.equals)
    if where.one_of:
        return value in where.one_of
    return (where.above is None or value > where.above) and (where.at_least is None or value >= where.at_least)


def events_of(columns: TransactionColumns) -> Iterator[Event]:
    """One by one."""
    for row in range(len(columns)):
        texts = {name: values[row] for name, values in columns.ids.items()}
        numbers = {name: float(values[row]) for name, values in columns.numbers.items()}
        yield (
            texts
            | numbers
            | {"net": NETS.get(texts["ip"], "v6")}
            | {"ms": int(columns.event_time_ms[row]), "amount": float(columns.amount[row])}
        )


@pytest.mark.slow
@given(streams())
@settings(deadline=None, max_examples=150)
def test_every_feature_equals_plain_python_over_the_raw_history(columns: TransactionColumns) -> None:
    """Windows to a float32's sums, meetings exactly; late events, steps back and events without an id included."""
    matrix, late = fold(FeatureState(SPEC, 10), columns)
    oracle = Oracle()
    exact = [name for name, f in enumerate(SPEC.features) if isinstance(f, NoveltyFeature) or "declined" in f.name]
    for row, event in enumerate(events_of(columns)):
        expected, expected_late = oracle.score(event)
        assert late[row] == expected_late
        np.testing.assert_allclose(matrix[row], expected, rtol=2e-5, atol=2e-3, err_msg=str(SPEC.names))
        assert matrix[row, exact].tolist() == np.array(expected, np.float32)[exact].tolist()


@pytest.mark.slow
@given(streams(), st.lists(st.integers(0, 40), max_size=6), st.integers(1, 3))
@settings(deadline=None, max_examples=100)
def test_any_cut_into_batches_and_a_snapshot_between_give_the_same_bits(
    columns: TransactionColumns, cuts: list[int], cards_max: int
) -> None:
    """With room for few ids, so that rows are evicted and used again."""
    whole, parts = FeatureState(SPEC, cards_max), FeatureState(SPEC, cards_max)
    matrix, _ = fold(whole, columns)
    assert matrix.tobytes() == fold_in_parts(parts, columns, cuts)[0].tobytes()
    cut = (cuts or [0])[0] % (len(columns) + 1)
    straight = FeatureState(SPEC, cards_max)
    fold(straight, columns[:cut])
    restored = FeatureState.from_arrays(SPEC, cards_max, straight.to_arrays())
    assert fold(restored, columns[cut:])[0].tobytes() == matrix[cut:].tobytes()


@given(streams())
@settings(deadline=None, max_examples=50)
def test_late_events_leave_no_trace(columns: TransactionColumns) -> None:
    """Later features are those of the stream without them."""
    matrix, late = fold(FeatureState(SPEC, 10), columns)
    kept = np.flatnonzero(~late).tolist()
    ids = {name: [values[row] for row in kept] for name, values in columns.ids.items()}
    numbers = {name: values[kept] for name, values in columns.numbers.items()}
    without = TransactionColumns(ids, columns.event_time_ms[kept], columns.amount[kept], numbers=numbers)
    assert fold(FeatureState(SPEC, 10), without)[0].tobytes() == matrix[kept].tobytes()


def test_an_id_takes_a_row_of_fixed_size_however_many_it_meets() -> None:
    """The bound that `features explain` shows: 12 bytes for each id remembered, the buckets of each series."""
    state, count = FeatureState(SPEC, 1), 2_000
    devices = [f"device-{number}" for number in range(count)]
    columns = TransactionColumns(
        {
            "card_id": ["a"] * count,
            "terminal_id": ["t"] * count,
            "entry": ["cash"] * count,
            "device": devices,
            "ip": devices,
        },
        START_MS + np.arange(count, dtype=np.int64),
        np.ones(count),
        numbers=dict.fromkeys(number_fields(SPEC), np.zeros(count)),
    )
    matrix, _ = fold(state, columns)
    assert matrix[-1, SPEC.names.index("devices")] == REMEMBERED
    assert matrix[-1, SPEC.names.index("declined_30s")] == count
    assert state.histories["card"].rows.shape == (2, key_bytes(SPEC)["card"] // 4)
    sizes = {row.name: (row.bytes_per_id, row.resolution) for row in table(SPEC)}
    assert sizes["devices"] == (4 + 12 * REMEMBERED, "exact up to 3, 1 second")
    assert sizes["declined_30s"] == (4 * (30 + 90), "1 second")
    assert sizes["cash_2d"] == (2 * 4 * (2 + 1), "1 day")


def test_a_spec_without_these_kinds_keeps_its_layout() -> None:
    """Snapshots are of the layout, and its spec's digest does not change: the two must not come apart."""
    found = program(NOTHING_NEW, "card")
    assert memory_of(NOTHING_NEW, "card") is None
    assert found.ring_start.tolist() == [2 * (10 + 1) + 1]


def test_reasons_are_in_words() -> None:
    """What is counted, where, and how far back."""
    words = dict(zip(SPEC.names, SPEC.descriptions, strict=True))
    assert words["declined_10m"] == "payments of this card in the last 10 minutes, where approved is no"
    assert words["cash_2d"] == "sum of this card's amounts in the last 2 days, where entry is one of cash, atm"
    assert words["tips_2d"] == "payments of this card in the last 2 days, with tip"
    assert words["big_2d"].endswith("where amount is above 500 or not (tip is given)")
    assert words["never_device"] == "first time that this card meets this device"
    assert words["devices"] == "different values of device that this card met in the last 10 minutes"
    assert words["km"] == "distance from this card's last where"
    said = {feature.name: feature.value_words for feature in SPEC.features}
    assert [said["new_device"](value) for value in (1.0, 0.0, -1.0)] == ["yes", "no", "-1"]
    assert [said["km"](value) for value in (-1.0, 12.5)] == ["not known", "12.5 km"]
    assert said["kmh"](math.log1p(900.0)) == "900 km/h"
    assert [said["devices"](value) for value in (2.0, 3.0)] == ["2", "3 or more"]
    assert [said["since_device"](math.log1p(value)) for value in (90, 86_400)] == [
        "1 min 30 s",
        "1 d or more, or never",
    ]


SOURCE = """
version: 1
topic: mine
event:
  id: {path: id}
  time: {path: at, unit: ms}
  subject: {path: card}
  amount: {path: amount}
attributes:
  device: {type: id, path: device}
  entry: {type: category, path: entry}
  approved: {type: flag, path: approved}
  tip: {type: number, path: tip, at_least: 0}
"""
ENTRIES = "{name: entries, kind: novelty, key: card, of: entry, part: count, window: 2d}"


def spec_with(feature: str) -> FeatureSpec:
    """One feature, with a window and two keys."""
    return parse_spec(f"""
version: 1
keys: {{card: card_id}}
windows: [{{duration: 1h, buckets: 6}}]
features:
  - {feature}
""")


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ("{name: x, kind: novelty, key: device, of: entry, part: count}", "declare it under keys"),
        ("{name: x, kind: novelty, key: card, of: amount, part: count}", "names no one"),
        ("{name: x, kind: novelty, key: card, of: entry, part: count, missing: 1}", "remove missing"),
        ("{name: x, kind: window, key: card, aggregation: mean, window: 1h, empty: 1}", "remove empty"),
        ("{name: x, kind: window, key: card, aggregation: distinct, of: device, window: 1h, field: tip}", "novelty"),
        (
            "{name: x, kind: window, key: card, aggregation: sum, window: 1h, where: {path: a.b, equals: 1}}",
            "not its path",
        ),
        ("{name: x, kind: window, key: card, aggregation: sum, window: 1h, where: {path: a, in: [1, x]}}", "under any"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused_with_the_fix(feature: str, words: str) -> None:
    """In one sentence."""
    with pytest.raises(FeatureSpecError, match=words):
        spec_with(feature)


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ("{name: x, kind: novelty, key: card, of: device, part: first}", "add missing"),
        ("{name: x, kind: novelty, key: card, of: terminal_id, part: first}", "add missing"),
        ("{name: x, kind: novelty, key: card, of: tip, part: count}", "name an id, a category or an address"),
        ("{name: x, kind: window, key: card, aggregation: sum, window: 1h, field: entry}", "name a number or a flag"),
        (
            "{name: x, kind: window, key: card, aggregation: sum, window: 1h, where: {path: entry, exists: true}}",
            "as a number",
        ),
        (
            "{name: x, kind: window, key: card, aggregation: sum, window: 1h, where: {path: tip, equals: a}}",
            "with a text",
        ),
        ("{name: x, kind: place, key: card, attribute: tip, part: speed}", "name a place"),
        (ENTRIES, None),
        ("{name: x, kind: window, key: card, aggregation: mean, window: 1h, field: tip, transform: log1p}", None),
        ("{name: x, kind: window, key: card, aggregation: mean, window: 1h, where: {path: country, equals: LT}}", None),
    ],
)
def test_a_source_that_lacks_what_is_read_is_said_before_anything_is_scored(feature: str, words: str | None) -> None:
    """And what fits, fits."""
    found = misfit(spec_with(feature), parse_source(SOURCE))
    assert (found is None) if words is None else (found is not None and words in found)


def test_a_logarithm_of_what_may_be_negative_is_refused() -> None:
    """One such value would be no number, and no score."""
    feature = "{name: x, kind: window, key: card, aggregation: mean, window: 1h, field: tip, transform: log1p}"
    found = misfit(spec_with(feature), parse_source(SOURCE.replace(", at_least: 0", "")))
    assert found is not None
    assert "at_least: 0" in found


def test_what_conditions_and_meetings_read_is_asked_of_the_source() -> None:
    """As texts and as numbers."""
    assert id_fields(SPEC) == {"card_id", "device", "entry", "ip"}
    assert number_fields(SPEC) == {"approved", "tip", "where.latitude", "where.longitude"}
