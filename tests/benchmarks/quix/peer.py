"""Quix Streams on the same work, one record at a time, exactly once, as its documentation shows it.

`python -m tests.benchmarks.quix.peer BOOTSTRAP SOURCE OUT COUNT`, in an environment of its own (`peer_quix.py`), prints records
a second.
"""

import sys
import tempfile
import time
import uuid
from typing import Any

from quixstreams import Application

from tests.benchmarks.common import OUTPUTS, LeanScore, Payment, matrix, session


def main(bootstrap: str, source: str, out: str, count: int) -> float:
    """Records a second, from the first record to the last commit."""
    graph, started_s = session(), 0.0
    features = graph.get_inputs()[0].shape[1]

    def score(value: dict[str, Any]) -> dict[str, Any]:
        nonlocal started_s
        started_s = started_s or time.perf_counter()
        payment = Payment(**value)
        p, error = graph.run(OUTPUTS, {"features": matrix([payment], features)})
        a, b = float(p[0]), float(error[0])
        result = LeanScore(payment.transaction_id, payment.event_time_ms, payment.card_id, a, b, a > 0.5, "m1")
        return {name: getattr(result, name) for name in LeanScore.__struct_fields__}

    with tempfile.TemporaryDirectory() as directory:
        app = Application(
            broker_address=bootstrap,
            consumer_group=f"quix-{uuid.uuid4().hex}",
            auto_offset_reset="earliest",
            processing_guarantee="exactly-once",
            auto_create_topics=False,
            state_dir=directory,
            loglevel="ERROR",
        )
        payments = app.dataframe(app.topic(source, value_deserializer="json", key_deserializer="bytes"))
        scores = app.topic(out, value_serializer="json", key_serializer="bytes")
        payments.apply(score).to_topic(scores)
        app.run(count=count, collect=False)
    return count / (time.perf_counter() - started_s)


if __name__ == "__main__":
    bootstrap, source, out, count = sys.argv[1:]
    print(main(bootstrap, source, out, int(count)))
