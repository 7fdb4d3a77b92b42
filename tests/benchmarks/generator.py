"""Open-loop load: payments that are due at a steady rate, each with the moment at which it was due, in a process of its own.

`python -m tests.benchmarks.generator BOOTSTRAP TOPIC RATE COUNT START_NS [CARDS [BYTES [FIRST [BASE_MS [STEP_MS]]]]]`

The i-th payment is due at START_NS + i / RATE on the monotonic clock, which the processes of a machine share; its
`transaction_id` begins with that moment in microseconds. A generator or a broker that falls behind does not change it, so what
is measured from it holds every stall (no coordinated omission). RATE 0: as fast as it goes. CARDS 0: each payment is of a card
of its own. BYTES: about how large a message is. The i-th payment happened at
BASE_MS + i * STEP_MS; without a step, now. Prints one line of JSON: what was sent, and how late.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from confluent_kafka import Producer

NS = 1_000_000_000
ID_DIGITS = 16
"""Of the moment of being due, at the beginning of a transaction id."""

QUEUE_RECORDS_MAX = 500_000
PAUSE_S = 0.0005
CARDS = 20_000
BYTES = 200
UNUSUAL_SHARE, UNUSUAL_TIMES = 0.005, 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send."""

    bootstrap: str
    topic: str
    rate: int
    count: int
    start_ns: int
    cards: int = CARDS
    bytes: int = BYTES
    first: int = 0
    base_ms: int = 0
    step_ms: int = 0

    def arguments(self) -> list[str]:
        """As a command line holds them."""
        return [str(value) for value in asdict(self).values()]


def template(load: Load) -> str:
    """To be filled with id, ms, card, terminal and amount."""
    shape = (
        '{"transaction_id":"%s","event_time_ms":%d,"card_id":"card-%08d","terminal_id":"terminal-%05d","amount":%.2f,'
        '"currency":"EUR","mcc":"5411","country":"DE","channel":"pos"'
    )
    bare = len(shape % ("0" * 26, 10**12, 0, 0, 10.0)) + len(',"note":""}')
    return shape + (f',"note":"{"x" * (load.bytes - bare)}"}}' if load.bytes > bare else "}")


def cards_and_amounts(load: Load) -> Iterator[tuple[int, float]]:
    """Without end, the same for the same load: each card pays about its own mean, and now and then many times it."""
    chance, number = random.Random(load.first + 7).random, load.first
    while True:
        card = int(chance() * load.cards) if load.cards else number
        unusual = UNUSUAL_TIMES if chance() < UNUSUAL_SHARE else 1.0
        yield card, (10 + card * 7919 % 90) * (0.6 + 0.8 * chance()) * unusual
        number += 1


def send(load: Load) -> dict[str, float]:
    """Everything, each payment when it is due; what was sent and how late, milliseconds."""
    producer = Producer(
        {
            "bootstrap.servers": load.bootstrap,
            "linger.ms": 1 if load.rate else 20,
            "compression.type": "none" if load.rate else "lz4",
            "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
            "partitioner": "murmur2_random",
        }
    )
    shape, drawn = template(load), cards_and_amounts(load)
    late_ns: list[int] = []
    sent, begun_ns = 0, time.monotonic_ns()
    while sent < load.count:
        passed_ns = time.monotonic_ns() - load.start_ns
        due = min(load.count, passed_ns * load.rate // NS) if load.rate else min(load.count, sent + 1000)
        if due <= sent:
            producer.poll(0)
            time.sleep(PAUSE_S)
            continue
        if load.rate:
            late_ns.append(passed_ns - sent * NS // load.rate)
        _produce(producer, load, shape, drawn, range(sent, due))
        sent = due
    producer.flush()
    late_ns.sort()
    return {
        "sent": sent,
        "sent_per_s": round(sent / (time.monotonic_ns() - begun_ns) * NS),
        "late_ms_p99": late_ns[int(len(late_ns) * 0.99)] / 1e6 if late_ns else 0.0,
        "late_ms_max": late_ns[-1] / 1e6 if late_ns else 0.0,
    }


def event_time_ms(load: Load, i: int, now_ms: int) -> int:
    """When the i-th payment happened."""
    return load.base_ms + i * load.step_ms if load.step_ms else now_ms


def _produce(producer: Producer, load: Load, shape: str, drawn: Iterator[tuple[int, float]], numbers: range) -> None:
    now_ms = time.time_ns() // 1_000_000
    for i in numbers:
        due_us = (load.start_ns + (i * NS // load.rate if load.rate else 0)) // 1000
        card, amount = next(drawn)
        name = f"{due_us:0{ID_DIGITS}d}-{load.first + i:09d}"
        value = shape % (name, event_time_ms(load, i, now_ms), card, i % 5000, amount)
        while True:
            try:
                producer.produce(load.topic, value, b"card-%08d" % card)
                break
            except BufferError:
                producer.poll(0.01)
        if not i % 1000:
            producer.poll(0)


if __name__ == "__main__":
    bootstrap, topic, *numbers = sys.argv[1:]
    print(json.dumps(send(Load(bootstrap, topic, *map(int, numbers)))))
