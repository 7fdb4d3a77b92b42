"""How many processes, partitions and how much memory a load needs, from figures: `assay capacity`, docs/capacity.md."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Point = Mapping[str, Any]
"""One measured point of `assay bench scale`: partitions, processes, cards, alert_share, bytes, held_out, and its figures."""

Terms = dict[str, Callable[[Point], float]]

CPU_TERMS: Terms = {
    "a record": lambda point: 1.0,
    "a kB of message": lambda point: point["bytes"] / 1000,
    "a share of 1 in alerts": lambda point: point["alert_share"],
    "each tenfold of cards above 1,000": lambda point: math.log10(max(1.0, point["cards"] / 1000)),
    "each doubling of a process's partitions": lambda point: math.log2(
        max(1.0, point["partitions"] / point["processes"])
    ),
}
"""What a record costs in processor time, microseconds, is a sum of."""

MEMORY_TERMS: Terms = {
    "a process": lambda point: 1.0,
    "a thousand cards": lambda point: point["cards"] / point["processes"] / 1000,
    "a partition": lambda point: point["partitions"] / point["processes"],
}
"""What a process takes in memory, MB, is a sum of."""

HOURS_A_MONTH = 730
PARTITIONS_MIN = 4
PARTITIONS_A_PROCESS = 2
"""At least: so that a lost process's share goes to more than one other, and there is room to grow."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load to carry."""

    rate_per_s: float
    cards: int
    message_bytes: int
    alert_share: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What carries it."""

    partitions: int
    processes: int
    cores: float
    busiest_core_share: float
    memory_mb_per_process: float
    memory_mb: float
    cpu_us_per_record: float
    cost_per_month: float | None

    def as_dict(self) -> dict[str, Any]:
        """Rounded, for JSON."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients by term, and how far off they are where they were not fitted."""

    coefficients: dict[str, float]
    errors: tuple[float, ...]
    """Of each point held out: predicted / measured - 1."""

    def predict(self, terms: Terms, point: Point) -> float:
        """The sum of the terms."""
        return sum(self.coefficients.get(name, 0.0) * term(point) for name, term in terms.items())


class CapacityModel:
    """Least squares on the points that are not held out; no term may be below zero, since nothing is cheaper for being more."""

    def __init__(self, points: Sequence[Point]) -> None:
        """Raises ValueError where the points are too few."""
        self.cpu = _fit(points, CPU_TERMS, "cpu_us_per_record")
        self.memory = _fit(points, MEMORY_TERMS, "rss_mb_max")

    def plan(self, load: Load, core_share_max: float, price_per_core_hour: float | None = None) -> Plan:
        """The fewest processes of one core each of which none is busier than `core_share_max`."""
        processes = 1
        while True:
            partitions = _partitions(processes)
            point = {
                "partitions": partitions,
                "processes": processes,
                "cards": load.cards,
                "alert_share": load.alert_share,
                "bytes": load.message_bytes,
            }
            cpu_us = self.cpu.predict(CPU_TERMS, point)
            cores = load.rate_per_s * cpu_us / 1e6
            busiest = cores * math.ceil(partitions / processes) / partitions
            if busiest <= core_share_max:
                break
            # the next number that can be enough: at large loads one after the other would take long
            processes = max(processes + 1, math.floor(cores / core_share_max))
        memory_mb = self.memory.predict(MEMORY_TERMS, point)
        cost = processes * price_per_core_hour * HOURS_A_MONTH if price_per_core_hour is not None else None
        return Plan(partitions, processes, cores, busiest, memory_mb, memory_mb * processes, cpu_us, cost)


def _partitions(processes: int) -> int:
    """A power of two, since a topic's partitions are not easily changed later."""
    return int(2 ** math.ceil(math.log2(max(PARTITIONS_MIN, PARTITIONS_A_PROCESS * processes))))


def _fit(points: Sequence[Point], terms: Terms, figure: str) -> Fit:
    fitted = [point for point in points if not point["held_out"]]
    names = list(terms)
    if len(fitted) < len(names):
        raise ValueError(
            f"{len(fitted)} points are too few to fit {len(names)} terms: run `assay bench scale --record`."
        )
    measured = np.array([point[figure] for point in fitted])
    while True:
        columns = np.array([[terms[name](point) for name in names] for point in fitted])
        # relative errors: a slow point must not count more than a fast one
        found = np.linalg.lstsq(columns / measured[:, None], np.ones(len(fitted)), rcond=None)[0]
        if (found >= 0).all():
            break
        names.pop(int(np.argmin(found)))
    bare = Fit(dict(zip(names, map(float, found), strict=True)), ())
    held_out = [point for point in points if point["held_out"]]
    return Fit(bare.coefficients, tuple(bare.predict(terms, point) / point[figure] - 1 for point in held_out))
