"""Bytes to applications with all their inputs. Anything else is a fault, and does not affect its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.features.attributes import AttributeMapping
from schemas import codec
from schemas.application import Application
from schemas.dead_letter import DeadLetterReason
from schemas.privacy import field_with_card_number, has_control_character, is_card_number
from services.engine.batches import Record
from services.engine.duplicates import DuplicateWindow
from services.engine.faults import Fault, TimeLimits, guarded, parsed


@dataclass(slots=True)
class Admitted:
    """Parallel lists of the applications to score, in order, and the faults. rows: the model's inputs."""

    records: list[Record] = field(default_factory=list)
    applications: list[Application] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def features(self) -> NDArray[np.float32]:
        """float32[n, F]."""
        return np.array(self.rows, np.float32)


class Admission:
    """Parses, validates, maps attributes to inputs, and drops what was seen before."""

    def __init__(
        self, mapping: AttributeMapping, duplicates: DuplicateWindow, message_bytes_max: int, times: TimeLimits
    ) -> None:
        self._mapping, self._duplicates = mapping, duplicates
        self._message_bytes_max, self._times = message_bytes_max, times
        self._parse = codec.decoder(Application)

    def admit(self, records: Sequence[Record]) -> Admitted:
        """Take in records, in order."""
        admitted = Admitted()
        for record in records:
            judged = guarded(self._judge, record)
            if isinstance(judged, Fault):
                admitted.faults.append(judged)
                continue
            application, row = judged
            admitted.records.append(record)
            admitted.applications.append(application)
            admitted.rows.append(row)
        return admitted

    def _judge(self, record: Record) -> tuple[Application, list[float]] | Fault:
        application = parsed(record, self._parse, self._message_bytes_max)
        if isinstance(application, Fault):
            return application
        for name in ("application_id", "applicant_id"):
            if has_control_character(getattr(application, name)):
                detail = f"{name} holds a control character: send another id"
                return Fault(record, DeadLetterReason.SCHEMA, detail)
        if is_card_number(application.applicant_id):
            detail = "applicant_id is a card number: send a keyed pseudonym"
            return Fault(record, DeadLetterReason.CARD_NUMBER, detail)
        if field_with_card_number(application.attributes):  # its name is the payload's too, and is not repeated
            detail = "an attribute holds a card number: leave it out, or send a keyed pseudonym"
            return Fault(record, DeadLetterReason.CARD_NUMBER, detail)
        if fault := self._times.fault(record, "event_time_ms", application.event_time_ms):
            return fault
        row = self._mapping.row(application.attributes)
        if isinstance(row, str):
            return Fault(record, DeadLetterReason.ATTRIBUTE, row)
        # last: an application that was refused may come again, corrected, under its id
        if self._duplicates.repeated([application.application_id]):
            detail = f"id seen within the last {self._duplicates.records_max} records of its partition"
            return Fault(record, DeadLetterReason.DUPLICATE, detail)
        return application, row
