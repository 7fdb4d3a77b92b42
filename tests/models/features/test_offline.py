"""Features computed in parts, by many processes or by Ray, are the stream's."""

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ray

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.fold import fold
from models.features.offline import columns_read, history_features, partition_features, terminal_features
from models.features.profiles import TerminalProfiles
from models.features.spec_file import load_spec, parse_spec
from models.features.state import FeatureState
from models.features.terminals import TerminalFold, profile_places
from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from schemas.feature_spec import FeatureSpec

SPEC = load_spec(Path("deploy/features/fraud.yaml"))
DAYS = 20


SIMULATION = SimulationSettings(seed=3, customers=120, terminals=400, days=DAYS)


class Table:
    """The scorers' table as the profiler writes it: a day's payments on the next day, its frauds when labels come."""

    def __init__(self, labels_after_days: int) -> None:
        self.profiles, self._labels_after_days = TerminalProfiles(), labels_after_days
        self._days: list[tuple[int, list[str], list[bool]]] = []

    def on(self, day: int) -> TerminalProfiles:
        """At the beginning of a day."""
        for known, terminals, is_fraud in self._days:
            if known == day - 1:
                self.profiles.add(known, terminals, [1] * len(terminals), [0] * len(terminals))
            if known == day - 1 - self._labels_after_days:
                self.profiles.add(known, terminals, [0] * len(terminals), [int(fraud) for fraud in is_fraud])
        return self.profiles

    def add(self, day: int, terminals: Sequence[str], is_fraud: np.ndarray) -> None:
        """What happened on it."""
        self._days.append((day, list(terminals), is_fraud.tolist()))


def rows_and_features(spec: FeatureSpec) -> tuple[dict[str, Any], np.ndarray]:
    """Simulated payments in order of time, and what one fold over all of them gives, day by day as a stream comes."""
    state, table = FeatureState(spec, 200), Table(spec.label_delay_days)
    parts: list[np.ndarray] = []
    columns: dict[str, list[Any]] = {name: [] for name in ("transaction_id", *columns_read(spec))}
    for day, batch in enumerate(islice(generate(SIMULATION), DAYS)):
        parts.append(fold(state, batch.columns, table.on(SIMULATION.start_day + day))[0])
        table.add(SIMULATION.start_day + day, batch.terminal_id, batch.is_fraud)
        for name, values in columns.items():
            values.extend(np.asarray(getattr(batch, name)).tolist())
    rows = {name: np.array(values, object if name.endswith("_id") else None) for name, values in columns.items()}
    return rows, np.concatenate(parts)


@pytest.fixture(scope="module")
def history() -> tuple[dict[str, Any], np.ndarray]:
    """Computed once."""
    return rows_and_features(SPEC)


@pytest.mark.parametrize("processes", [1, 2])
def test_any_split_over_any_number_of_processes_gives_the_bits_of_one_fold(
    history: tuple[dict[str, Any], np.ndarray], processes: int
) -> None:
    """Cards on three partitions; progress ends at the whole; and the order of the rows is kept, whatever it was."""
    rows, expected = history
    shuffled = np.random.default_rng(5).permutation(len(expected))
    partition = np.array([ord(card[-1]) % 3 for card in rows["card_id"]])
    told: list[tuple[int, int]] = []
    mixed = {name: values[shuffled] for name, values in rows.items()}
    found = history_features(SPEC, mixed, partition[shuffled], processes, lambda *done: told.append(done))
    assert found.tobytes() == expected[shuffled].tobytes()
    assert told[-1] == (2 * len(expected), 2 * len(expected))


@pytest.mark.parametrize("after_days", [0, SPEC.label_delay_days, SPEC.label_delay_days + 4])
def test_a_terminal_folded_as_an_entity_says_what_the_table_of_profiles_says(after_days: int) -> None:
    """To the bit, when labels keep to their delay and when they do not; and whatever a scorer's table says the file says."""
    terminals, table = TerminalFold(SPEC, 400, after_days), Table(after_days)
    places, later = profile_places(SPEC), 0
    for number, day in enumerate(islice(generate(SIMULATION), DAYS)):
        expected, found = (np.full((len(day.columns), len(SPEC.features)), -1, np.float32) for _ in range(2))
        table.on(SIMULATION.start_day + number).fill(SPEC, day.terminal_id, day.event_time_ms, expected)
        table.add(SIMULATION.start_day + number, day.terminal_id, day.is_fraud)
        for part in np.array_split(np.arange(len(day.columns)), 3):
            rows = slice(part[0], part[-1] + 1)
            terminals.fill(day.columns[rows], day.is_fraud[rows], found[rows])
        assert found.tobytes() == expected.tobytes()
        later += int((found[:, places] > 0).sum())
    assert later > 0


def test_payments_without_a_terminal_share_no_history() -> None:
    """As in the stream, where no profile is written of none."""
    rows = {
        "event_time_ms": np.arange(40) * 86_400_000,
        "amount": np.ones(40),
        "terminal_id": np.array(["t", None] * 20, object),
        "is_fraud": np.ones(40, bool),
    }
    found = terminal_features(SPEC, rows)[:, profile_places(SPEC)]
    assert found[::2].any()
    assert not found[1::2].any()


def test_ids_that_a_payment_lacks_share_a_history_as_in_the_stream() -> None:
    """None, as files have it."""
    text = """
version: 1
keys: {country: country}
windows: [{duration: 1h, buckets: 12}]
features: [{name: n, kind: window, key: country, aggregation: count, window: 1h}]
"""
    spec = parse_spec(text)
    countries, times = np.array(["FR", None, "FR", None], object), np.arange(4) * 1000
    found = partition_features(spec, {"country": countries, "event_time_ms": times, "amount": np.ones(4)})
    columns = TransactionColumns({"country": ["FR", NO_VALUE, "FR", NO_VALUE]}, times, np.ones(4))
    assert found.tobytes() == fold(FeatureState(spec, 10), columns)[0].tobytes()
    assert found[:, 0].tolist() == [1, 1, 2, 2]


def example() -> ModuleType:
    """docs/examples/features_on_ray.py as a module."""
    spec = importlib.util.spec_from_file_location("features_on_ray", Path("docs/examples/features_on_ray.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def local_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray of this machine alone, which tells no one that it ran."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.usefixtures("local_ray")
def test_the_example_gives_the_same_bits_on_ray(history: tuple[dict[str, Any], np.ndarray]) -> None:
    """Payment by payment."""
    rows, expected = history
    payments = ray.data.from_pandas(pd.DataFrame(rows))
    frame = example().features_of(payments, SPEC, groups=2).to_pandas().set_index("transaction_id")
    found = frame.loc[rows["transaction_id"], list(SPEC.names)].to_numpy(np.float32)
    assert found.tobytes() == expected.tobytes()
    assert frame.loc[rows["transaction_id"], "is_fraud"].tolist() == rows["is_fraud"].tolist()
