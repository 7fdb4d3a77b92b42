"""Simulated credit applications, pure: clients of a card issuer with six months of bills, payments and delays.

The attributes go by the names of the data set "default of credit card clients" (UCI 350), so that the committed credit bundle
reads them. The numbers are drawn from a small model of our own, not from those data: each applicant has a hidden strain, which
raises what they use of their limit, delays their payments, and makes a default likelier.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MONTHS = 6
PAY = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
BILL = tuple(f"BILL_AMT{month}" for month in range(1, MONTHS + 1))
PAID = tuple(f"PAY_AMT{month}" for month in range(1, MONTHS + 1))
"""Column names by month, the latest first."""

LIMIT_MEDIAN, LIMIT_STEP, LIMIT_MAX = 140_000.0, 10_000.0, 1_000_000.0
DELAY_MAX = 8
NO_USE, PAID_IN_FULL, REVOLVING = -2, -1, 0
"""Payment states below a delay of one month."""

BATCH = 500


@dataclass(frozen=True, slots=True)
class ApplicationBatch:
    """n simulated applications in order. attributes: int64[n] by name. defaulted: bool[n], their outcome."""

    application_id: list[str]
    applicant_id: list[str]
    event_time_ms: NDArray[np.int64]
    attributes: dict[str, NDArray[np.int64]]
    defaulted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.application_id)

    def rows(self) -> list[dict[str, float | bool | str | None]]:
        """The attributes of each application, as its record carries them."""
        columns = [column.tolist() for column in self.attributes.values()]
        return [dict(zip(self.attributes, row, strict=True)) for row in zip(*columns, strict=True)]


def generate(seed: int, start_ms: int, gap_ms: int = 1_000) -> Iterator[ApplicationBatch]:
    """Applications without end, one every `gap_ms` from `start_ms` on. The same seed gives the same."""
    random = np.random.default_rng(seed)
    for first in itertools.count(0, BATCH):
        yield _batch(random, seed, first, BATCH, start_ms, gap_ms)


def drawn(count: int, seed: int, start_ms: int) -> ApplicationBatch:
    """`count` applications at once."""
    return _batch(np.random.default_rng(seed), seed, 0, count, start_ms, 1_000)


def _batch(
    random: np.random.Generator, seed: int, first: int, count: int, start_ms: int, gap_ms: int
) -> ApplicationBatch:
    number = np.arange(first, first + count)
    attributes, defaulted = _drawn(random, count)
    tags = random.bytes(8 * count).hex()
    return ApplicationBatch(
        application_id=[f"application-{seed}-{n:09d}" for n in number.tolist()],
        applicant_id=[f"applicant-{tags[16 * place : 16 * place + 16]}" for place in range(count)],
        event_time_ms=(start_ms + number * gap_ms).astype(np.int64),
        attributes=attributes,
        defaulted=defaulted,
    )


def _drawn(random: np.random.Generator, count: int) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.bool_]]:
    strain = random.normal(size=count)
    limit = LIMIT_MEDIAN * np.exp(0.7 * random.normal(size=count) - 0.35 * strain)
    limit = np.clip(np.round(limit / LIMIT_STEP), 1, LIMIT_MAX / LIMIT_STEP) * LIMIT_STEP
    attributes = {
        "LIMIT_BAL": limit,
        "SEX": random.integers(1, 3, count),
        "EDUCATION": random.choice([1, 2, 3, 4], count, p=[0.35, 0.47, 0.16, 0.02]),
        "MARRIAGE": random.choice([1, 2, 3], count, p=[0.45, 0.54, 0.01]),
        "AGE": np.clip(21 + random.gamma(2.6, 5.6, count), 21, 79),
    }
    delays = np.zeros(count)
    utilisation = 1.0 / (1.0 + np.exp(-(0.9 * strain - 0.7 + random.normal(size=count))))
    for month in reversed(range(MONTHS)):  # the oldest month first: a delay grows until it is paid
        attributes |= _month(random, month, strain, limit, utilisation, delays)
    risk = -1.9 + 0.55 * strain + 0.9 * np.minimum(delays, 3) - 0.25 * np.log(limit / LIMIT_MEDIAN)
    defaulted = random.random(count) < 1.0 / (1.0 + np.exp(-risk))
    return {name: np.asarray(column).astype(np.int64) for name, column in attributes.items()}, defaulted


def _month(
    random: np.random.Generator,
    month: int,
    strain: NDArray[np.float64],
    limit: NDArray[np.float64],
    utilisation: NDArray[np.float64],
    delays: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """One month's state, bill and payment; moves `delays` on in place."""
    count = len(strain)
    bill = limit * np.clip(utilisation + 0.08 * random.normal(size=count), 0.0, 1.2)
    bill[random.random(count) < 0.08] = 0.0
    slips = random.random(count) < 1.0 / (1.0 + np.exp(-(1.1 * strain + 0.8 * np.minimum(delays, 2) - 2.7)))
    delays[:] = np.where((bill > 0) & slips, np.minimum(delays + 1 + (delays == 0), DELAY_MAX), 0)
    in_full = random.random(count) < 1.0 / (1.0 + np.exp(1.3 * strain + 0.4))
    state = np.where(bill == 0, NO_USE, np.where(delays > 0, delays, np.where(in_full, PAID_IN_FULL, REVOLVING)))
    share = np.where(in_full, 1.0, random.beta(1.2, 18.0, count))
    paid = np.where(delays > 0, 0.0, bill * share)
    return {PAY[month]: state, BILL[month]: np.round(bill), PAID[month]: np.round(paid)}
