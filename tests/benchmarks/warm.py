"""A broker that has been busy for a while, as every broker in use has.

Its machine code is made while it works: on two cores that others use as well, latencies fell for five minutes after a start, to
less than half ([188](../../docs/decisions/0188-a-broker-is-warm-before-it-is-measured.md)).
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.latency import Loads, of_limit, prepare
from tests.benchmarks.place import broker, place

RATE = 20_000


def warm(bootstrap: str, seconds: float) -> None:
    """Transactions of the baseline loop, for so long, on topics that are deleted afterwards."""
    with place(bootstrap) as stream:
        asyncio.run(prepare(stream))
        of_limit(stream, Loads(stream), (RATE,), seconds)


@contextmanager
def warm_broker(seconds: float) -> Iterator[str]:
    """The address of one: started for this and warmed, or the one that BENCH_BOOTSTRAP names as it is."""
    given = os.environ.get("BENCH_BOOTSTRAP")
    with broker() as bootstrap:
        if not given:
            warm(bootstrap, seconds)
        yield bootstrap
