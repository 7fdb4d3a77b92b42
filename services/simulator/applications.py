"""Credit applications as keys and payloads, a chosen share of them garbage. Pure: same seed, same bytes."""

import json
from collections.abc import Iterable, Iterator

import numpy as np

from models.simulation.applications import ApplicationBatch
from schemas import codec
from schemas.application import Application
from services.simulator.payloads import CARD_NUMBER, Garbage, Payload

KINDS = (Garbage.CUT_SHORT, Garbage.MISSING_FIELD, Garbage.WRONG_TYPE, Garbage.CARD_NUMBER)
SPOILED = "LIMIT_BAL"
"""The attribute that garbage lacks, or gives as text."""

_application = codec.record_type(Application)


def application_payloads(
    batches: Iterable[ApplicationBatch], bad_share: float = 0.0, seed: int = 0
) -> Iterator[Payload]:
    """The applications in their order; each is replaced by garbage with probability `bad_share`."""
    random = np.random.default_rng([seed, 1])  # apart from the generator's own draws
    for batch in batches:
        bad = (random.random(len(batch)) < bad_share).tolist()
        kinds = random.integers(len(KINDS), size=len(batch)).tolist()
        columns = (batch.application_id, batch.applicant_id, batch.event_time_ms.tolist(), batch.rows())
        for is_bad, kind, application_id, applicant_id, event_time_ms, attributes in zip(
            bad, kinds, *columns, strict=True
        ):
            record = _application(
                application_id=application_id,
                event_time_ms=event_time_ms,
                applicant_id=applicant_id,
                attributes=attributes,
            )
            payload = Payload(applicant_id.encode(), codec.encode(record))
            yield _spoiled(payload, KINDS[kind]) if is_bad else payload


def _spoiled(payload: Payload, kind: Garbage) -> Payload:
    if kind is Garbage.CUT_SHORT:
        return Payload(payload.key, payload.value[: len(payload.value) // 2], kind)
    fields = json.loads(payload.value)
    if kind is Garbage.CARD_NUMBER:
        fields["applicant_id"] = CARD_NUMBER
    elif kind is Garbage.MISSING_FIELD:
        del fields["attributes"][SPOILED]
    else:
        fields["attributes"][SPOILED] = "much"
    return Payload(payload.key, json.dumps(fields).encode(), kind)
