"""A peer: Faust on the same work, one event at a time, at least once.

`SOURCE=topic OUT=topic COUNT=20000 python -m tests.benchmarks.peer_faust worker -l error` prints records a second.
"""

import os
import tempfile
import time
from typing import Any

import faust
import msgspec

from tests.benchmarks.common import BOOTSTRAP, OUTPUTS, LeanScore, Payment, matrix, session

COUNT = int(os.environ.get("COUNT", "20000"))
DECODE, ENCODE = msgspec.json.Decoder(Payment).decode, msgspec.json.Encoder().encode
SESSION = session()
FEATURES = SESSION.get_inputs()[0].shape[1]

app = faust.App(
    f"faust-{os.urandom(4).hex()}",
    broker=f"kafka://{BOOTSTRAP}",
    store="memory://",
    value_serializer="raw",
    consumer_auto_offset_reset="earliest",
    topic_partitions=4,
    web_enabled=False,
    topic_disable_leader=True,
    datadir=tempfile.mkdtemp(),
)
source = app.topic(os.environ.get("SOURCE", "transactions"), value_serializer="raw")
out = app.topic(os.environ.get("OUT", "bench-faust"), value_serializer="raw")


@app.agent(source)
async def score(values: Any) -> None:
    """One event at a time, as Faust's documentation shows it."""
    done, started_s = 0, 0.0
    async for value in values:
        started_s = started_s or time.perf_counter()
        payment = DECODE(value)
        p, error = SESSION.run(OUTPUTS, {"features": matrix([payment], FEATURES)})
        a, b = float(p[0]), float(error[0])
        result = LeanScore(payment.transaction_id, payment.event_time_ms, payment.card_id, a, b, a > 0.5, "m1")
        await out.send(key=payment.card_id.encode(), value=ENCODE(result))
        done += 1
        if done >= COUNT:
            os.write(1, b"\n%f\n" % (done / (time.perf_counter() - started_s)))  # Faust takes print away
            os._exit(0)  # nothing of it is worth a clean end


if __name__ == "__main__":
    app.main()
