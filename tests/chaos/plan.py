"""What happens when: drawn from the seed alone, before anything runs. Same seed, same plan."""

import random
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "kill",
    "stop",
    "join",
    "leave",
    "broker_kill",
    "blackhole_to_broker",
    "blackhole_to_client",
    "reset",
    "latency",
    "end_txn_request_late",
    "end_txn_answer_late",
    "disk_full",
    "clock",
    "poison",
    "reload",
    "stuck_fetcher",
    "open_transaction",
    "hostile_headers",
    "times",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

GAP_S = (1.0, 5.0)
"""Between two faults, at least and at most."""

LASTS_S: dict[Kind, tuple[float, ...]] = {
    "kill": (0.5, 3.0),  # until its place is filled again
    "stop": (2.0, 9.0, 16.0),  # within the session timeout, beyond it, beyond the transaction timeout
    "broker_kill": (1.0, 6.0),
    "blackhole_to_broker": (1.0, 5.0, 9.0),
    "blackhole_to_client": (1.0, 5.0, 9.0),
    "latency": (4.0,),
    "end_txn_request_late": (1.0, 5.0),
    "end_txn_answer_late": (1.0, 5.0),
    "disk_full": (4.0,),
    "stuck_fetcher": (2.0,),  # until its fetches get no answer; then its watchdog has to end it
    "open_transaction": (2.0, 8.0),
}
"""How long each may last: one is drawn. The others are over at once."""

BROKER_PAUSE_S = 15.0
"""Between two broker kills, at least: the one that comes back must be in sync before another goes."""


@dataclass(frozen=True, slots=True)
class Action:
    """One fault, `at_s` after the beginning. target: a number that chooses among what is there then."""

    at_s: float
    kind: Kind
    target: int
    lasts_s: float


def plan(seed: int, duration_s: float) -> list[Action]:
    """Faults of every kind, in a random order, until `duration_s`."""
    draw = random.Random(seed)
    actions: list[Action] = []
    at_s, broker_free_s = 0.0, 0.0
    bag: list[Kind] = []
    while True:
        at_s += draw.uniform(*GAP_S)
        if at_s > duration_s:
            return actions
        if not bag:  # each kind once, in any order, before one comes again
            bag = list(KINDS)
            draw.shuffle(bag)
        kind = bag.pop()
        if kind == "broker_kill" and at_s < broker_free_s:
            kind = "reset"
        action = Action(round(at_s, 3), kind, draw.randrange(1 << 16), draw.choice(LASTS_S.get(kind, (0.0,))))
        if kind == "broker_kill":
            broker_free_s = at_s + action.lasts_s + BROKER_PAUSE_S
        actions.append(action)
