"""What labels say of an entity: the same from a file and from a stream, whatever the cut, and as a plain count has it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.features.columns import TransactionColumns
from models.features.entities import EntityFold
from models.features.explain import entity_table, table
from models.features.index import keys_of, public_tags
from models.features.kernel import SKETCH_BITS
from models.features.offline import columns_read, entity_features, history_features
from models.features.spec_file import FeatureSpecError, parse_spec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SPEC_TEXT = """
version: 1
keys: {card: card_id}
entities: {device: {id: device_id}}
windows: [{duration: 24h, buckets: 24}, {duration: 7d, buckets: 7}]
features:
  - {name: amount, kind: field, field: amount}
  - {name: payments, kind: labels, key: device, aggregation: count, window: 24h, label_delay: 2h}
  - {name: frauds, kind: labels, key: device, aggregation: frauds, window: 24h, label_delay: 2h}
  - {name: rate, kind: labels, key: device, aggregation: fraud_rate, window: 7d, label_delay: 1d}
  - {name: share, kind: labels, key: device, aggregation: fraud_subject_rate, window: 24h, label_delay: 2h}
  - {name: cards, kind: window, key: device, aggregation: distinct, of: card_id, window: 24h}
"""
SPEC = parse_spec(SPEC_TEXT)
PAYMENTS = 900


def cards_apart(number: int) -> list[str]:
    """So many cards that no two of them share a bit of a sketch: so that an estimate of few is nearly exact."""
    found: dict[int, str] = {}
    names = [f"card-{place}" for place in range(200)]
    for name, tag in zip(names, public_tags(keys_of(names)).tolist(), strict=True):
        found.setdefault(tag % SKETCH_BITS, name)
    return list(found.values())[:number]


def payments() -> dict[str, NDArray[Any]]:
    """Twenty days of a few devices and cards, in order of time, a fifth of them frauds; some lack the device."""
    random = np.random.default_rng(5)
    devices = np.array([*(f"device-{number}" for number in range(4)), None], object)
    return {
        "event_time_ms": np.sort(random.integers(0, 20 * DAY_MS, PAYMENTS)) + 18_000 * DAY_MS,
        "amount": np.ones(PAYMENTS),
        "device_id": devices[random.integers(0, 5, PAYMENTS)],
        "card_id": np.array(cards_apart(9), object)[random.integers(0, 9, PAYMENTS)],
        "is_fraud": random.random(PAYMENTS) < 0.2,
    }


def columns_of(rows: dict[str, NDArray[Any]], at: list[int]) -> TransactionColumns:
    """Some of them, as a stage hands them to the fold."""
    ids = {field: [value or "\0" for value in rows[field][at]] for field in ("device_id", "card_id")}
    return TransactionColumns(ids, rows["event_time_ms"][at], rows["amount"][at])


def streamed(
    rows: dict[str, NDArray[Any]], cut: int, told_after_ms: int, snapshots: bool = False
) -> NDArray[np.float32]:
    """What a stream gives in batches of `cut`, each fraud told so long after its payment."""
    history, parts, waiting = EntityFold(SPEC, "device", 100), [], list[int]()
    at = [(int(time), 0, row) for row, time in enumerate(rows["event_time_ms"])]
    at += [(time + told_after_ms, 1, row) for time, _, row in at if rows["is_fraud"][row] and rows["device_id"][row]]

    def fold_waiting() -> None:
        if waiting:
            parts.append(history.values(columns_of(rows, waiting)))
            waiting.clear()

    for _, label, row in sorted(at):
        if label:
            fold_waiting()
            time_ms = int(rows["event_time_ms"][row])
            history.judge(rows["device_id"][row], rows["card_id"][row], time_ms, fraud=True)
        else:
            waiting.append(row)
        if len(waiting) >= cut:
            fold_waiting()
            if snapshots:
                restored = EntityFold(SPEC, "device", 100)
                restored.load(history.capture().arrays())
                history = restored
    fold_waiting()
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def whole() -> NDArray[np.float32]:
    """As a file of all of them has it."""
    return entity_features(SPEC, "device", payments())


@pytest.mark.parametrize(("cut", "told_after_ms"), [(1, 0), (7, 2 * HOUR_MS), (5_000, HOUR_MS)])
def test_a_stream_gives_what_a_file_gives_where_labels_keep_to_their_delay(
    whole: NDArray[np.float32], cut: int, told_after_ms: int
) -> None:
    """To the bit, whatever the batches, and when within its delay each label comes."""
    assert streamed(payments(), cut, told_after_ms).tobytes() == whole.tobytes()


def test_a_snapshot_holds_what_labels_said(whole: NDArray[np.float32]) -> None:
    """After every batch a new object, from the arrays of the one before."""
    assert streamed(payments(), 100, HOUR_MS, snapshots=True).tobytes() == whole.tobytes()


def test_every_number_is_what_a_plain_count_says(whole: NDArray[np.float32]) -> None:
    """Whole buckets, of which the last ends a label delay before the present one; the share counts other cards alone."""
    rows = payments()
    times, devices, cards, frauds = (rows[name] for name in ("event_time_ms", "device_id", "card_id", "is_fraud"))
    seen = 0
    for row in range(0, PAYMENTS, 7):
        if devices[row] is None:
            assert not whole[row, :4].any()
            continue

        def within(width_ms: int, buckets: int, delay: int, row: int = row) -> NDArray[np.bool_]:
            last = times[row] // width_ms - delay - 1
            return (devices == devices[row]) & (times // width_ms <= last) & (times // width_ms > last - buckets)

        day, week = within(HOUR_MS, 24, 2), within(DAY_MS, 7, 1)
        rate = np.float32((week & frauds).sum()) / np.float32(max(week.sum(), 1))
        assert whole[row, :3].tolist() == [day.sum(), (day & frauds).sum(), rate]
        others, told = set(cards[day]) - {cards[row]}, set(cards[day & frauds]) - {cards[row]}
        assert whole[row, 3] == pytest.approx(len(told) / max(len(others), 1), abs=0.1)
        seen += bool(told)
    assert seen > 20


def test_a_verdict_that_is_taken_back_is_no_fraud_any_more() -> None:
    """The payment still counts."""
    history, row = EntityFold(SPEC, "device", 10), payments()
    first, later = int(row["event_time_ms"][0]), int(row["event_time_ms"][0]) + 5 * HOUR_MS

    def values(time_ms: int) -> list[float]:
        columns = TransactionColumns({"device_id": ["d"], "card_id": ["c"]}, np.array([time_ms]), np.ones(1))
        return history.values(columns)[0, :3].tolist()

    assert values(first) == [0, 0, 0]
    history.judge("d", "c", first, fraud=True)
    assert values(later)[:2] == [1, 1]
    history.judge("d", "c", first, fraud=False)
    assert values(later)[:2] == [1, 0]


def test_a_history_is_computed_in_parallel(whole: NDArray[np.float32]) -> None:
    """By device, with the verdicts of the file."""
    rows = payments()
    assert "is_fraud" in columns_read(SPEC)
    found = history_features(SPEC, rows, np.zeros(PAYMENTS, np.int64), 2)
    assert found[:, 1:].tobytes() == np.ascontiguousarray(whole).tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("key: device, aggregation: count", "key: card, aggregation: count"), "labels are kept by entity"),
        (
            ("aggregation: count, window: 24h, label_delay: 2h", "aggregation: count, window: 24h, label_delay: 90m"),
            "whole buckets",
        ),
        (("aggregation: count, window: 24h", "aggregation: count, window: 2h"), "not one of the windows"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused_with_the_fix(change: tuple[str, str], words: str) -> None:
    """One sentence."""
    with pytest.raises(FeatureSpecError, match=words):
        parse_spec(SPEC_TEXT.replace(*change))


def test_what_labels_cost_is_said() -> None:
    """Their histories count for the entity's memory."""
    rows = {row.name: row for row in table(SPEC)}
    assert (rows["rate"].window, rows["rate"].resolution) == ("7d, 1d ago", "1 day")
    (entity,) = entity_table(SPEC, 4, 1_000)
    assert entity.bytes_per_id > rows["rate"].bytes_per_id > 0
