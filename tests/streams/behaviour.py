"""What people do in the made-up streams: habits of devices, networks and countries, and frauds that show in these alone.

A round is a day: no subject pays twice in one, so an order by round is an order by time for each subject. A fraud has the
amount, hour and other side that any payment has; at least two of its device, network and country are new to its subject.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

COUNTRIES = ("DE", "FR", "IT", "ES", "NL", "LT", "PL", "AT", "BE", "SE")
FAR = ("BR", "VN", "NG", "US")
BEGIN_S = 1_772_323_200  # 2026-03-01
DAY_S = 86_400
FRAUD_SHARE = 0.03
SEED_STEP = 100_000


@dataclass(frozen=True, slots=True)
class Fact:
    """One payment, whatever its shape. other: the merchant or payee. country: where the other side is."""

    number: int
    round: int
    time_ms: int
    subject: int
    other: int
    cents: int
    device: str
    address: str
    country: str
    home: str
    fraud: bool


@dataclass(frozen=True, slots=True)
class _Habits:
    devices: tuple[str, ...]
    networks: tuple[str, ...]
    home: str

    @classmethod
    def drawn(cls, draw: random.Random) -> "_Habits":
        devices = tuple(_device(draw) for _ in range(draw.randint(1, 2)))
        return cls(devices, tuple(_network(draw) for _ in range(2)), draw.choice(COUNTRIES))


def facts(seed: int, subjects: int = 120, rounds: int = 50) -> list[Fact]:
    """All payments, in order of time. Another seed has other subjects."""
    draw = random.Random(seed)
    habits = [_Habits.drawn(draw) for _ in range(subjects)]
    found = [fact for number in range(rounds) for fact in _round(draw, habits, number)]
    return [
        replace(fact, number=seed * SEED_STEP + number, subject=seed * SEED_STEP + fact.subject)
        for number, fact in enumerate(found)
    ]


def _round(draw: random.Random, habits: list[_Habits], number: int) -> list[Fact]:
    made = [_fact(draw, who, habit, number) for who, habit in enumerate(habits) if draw.random() < 0.95]
    return sorted(made, key=lambda fact: fact.time_ms)


def _fact(draw: random.Random, who: int, habit: _Habits, number: int) -> Fact:
    fraud = draw.random() < FRAUD_SHARE
    new_device, new_network, far = _signs(draw) if fraud else (draw.random() < share for share in (0.02, 0.02, 0.03))
    network = _network(draw) if new_network else draw.choice(habit.networks)
    return Fact(
        number=0,
        round=number,
        time_ms=(BEGIN_S + number * DAY_S) * 1_000 + draw.randrange(DAY_S * 1_000),
        subject=who,
        other=draw.randrange(40),
        cents=round(draw.lognormvariate(3.2, 0.8) * 100),
        device=_device(draw) if new_device else draw.choice(habit.devices),
        address=f"{network}.{draw.randrange(1, 255)}",
        country=draw.choice(FAR) if far else habit.home,
        home=habit.home,
        fraud=fraud,
    )


def _signs(draw: random.Random) -> Iterator[bool]:
    """Two or three of the three."""
    hidden = draw.randrange(6)
    return (place != hidden for place in range(3))


def _device(draw: random.Random) -> str:
    return f"d{draw.getrandbits(40):010x}"


def _network(draw: random.Random) -> str:
    return f"{draw.randrange(80, 100)}.{draw.randrange(256)}.{draw.randrange(256)}"
