"""What is around an event in a record, one module an envelope: from a decoded document to the event, or to why it is none."""

from models.sources.envelopes.base import Headers, NotAnEvent, Unwrap
from models.sources.envelopes.cloudevents import unwrap as cloudevents
from models.sources.envelopes.connect import unwrap as connect
from models.sources.envelopes.debezium import unwrap as debezium
from schemas.record_format import Envelope

UNWRAP: dict[Envelope, Unwrap] = {"debezium": debezium, "connect": connect, "cloudevents": cloudevents}
"""By the name that a source spec has for it; `none` has none."""

__all__ = ["UNWRAP", "Headers", "NotAnEvent", "Unwrap"]
