"""Cases: what an analyst works on, made of alerts. On `cases`, with what analysts do on `case-actions`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.alert import REASONS_MAX, ReasonText, ShownAttributes, Triggers
from schemas.base import (
    COUNT_MAX,
    Count,
    Currency,
    EventTimeMs,
    FeatureName,
    Identifier,
    Message,
    ModelName,
    Number,
    OffsetOrNone,
    Percentile,
    Positive,
    Probability,
    Version,
    Words,
)
from schemas.privacy import field_with_card_number

ALERTS_MAX = 50
"""Alerts that a case lists; of more only the number and the money at risk are kept."""

CaseState = Literal["open", "confirmed", "dismissed", "expired"]
CaseChange = Literal["opened", "alert", "reopened", "confirmed", "dismissed", "expired"]
MuteScope = Literal["card", "terminal"]


CaseId = Annotated[str, Field(pattern=r"^[0-9]{1,10}-[0-9]{1,19}$", max_length=30)]
"""Partition and offset of a case's first alert."""


class CaseAlert(Message):
    """One alert of a case."""

    transaction_id: Identifier = Field(description="Id of the payment.")
    event_time_ms: EventTimeMs = Field(description="When it happened, ms since 1970 UTC.")
    terminal_id: Identifier = Field(description="Where.")
    amount: Number = Field(description="Amount in the currency's main unit.")
    currency: Currency | None = Field(None, description="ISO 4217 code.")
    probability: Probability = Field(description="Calibrated probability of fraud.")
    anomaly_percentile: Percentile = Field(description="Share of legitimate traffic that is less odd, in percent.")
    triggers: Triggers = Field(description="Which scores crossed their thresholds.")
    let_through: bool = Field(False, description="Of the control group.")
    attributes: ShownAttributes = Field(
        (), description="The event's attributes that people are shown, as the alert has them."
    )


class CaseReason(Message):
    """A factor behind a case's alerts."""

    feature: FeatureName = Field(description="Name of the feature.")
    text: ReasonText = Field(description="The factor in words, as the alert said it that it moved most.")
    contribution: Number = Field(description="The largest contribution to an alert of this case.")
    alerts: Count = Field(description="How many of the alerts name it.")


CaseVerb = Literal[
    "confirm", "dismiss", "expire", "forget", "mute", "unmute", "assign", "escalate", "note", "approve", "reject"
]
Decided = Literal["confirm", "dismiss"]
WORK: tuple[CaseVerb, ...] = ("assign", "escalate", "note")
"""What changes who works a case and what is written beside it; never what was decided."""

Person = Annotated[str, Field(min_length=1, max_length=100)]

HISTORY_MAX = 50
"""Decisions and notes that a case remembers: the newest."""


class CaseDecision(Message):
    """One line of a case's history: what somebody, or the clock, decided, wrote or was refused."""

    action: CaseVerb = Field(description="What was to be done.")
    by: Annotated[str, Field(max_length=100)] = Field(description="Who.")
    at_ms: EventTimeMs = Field(description="Kafka timestamp of the action.")
    note: Words | None = Field(None, description="What they wrote.")
    refused: bool = Field(
        False, description="A decision or another's assignment stood that it did not overrule: it changed nothing."
    )
    assignee: Person | None = Field(None, description="Of assign: to whom; no one where it is missing.")
    asked: bool = Field(
        False, description="Of confirm, dismiss: it waits for a second person, and has changed nothing yet."
    )
    approved_by: Person | None = Field(
        None, description="Of confirm, dismiss: the second person, where one was needed."
    )
    version: Version = Field(description="Version of the case that it made.")
    offset: OffsetOrNone = Field(-1, description="The action's offset on the case's partition of `case-actions`.")


class PendingDecision(Message):
    """A decision that waits for a second person."""

    action: Decided = Field(description="What is to be decided.")
    by: Person = Field(description="Who asks. Another one has to approve.")
    at_ms: EventTimeMs = Field(description="Kafka timestamp of the action that asked.")
    expires_at_ms: EventTimeMs = Field(description="An approval at this time or later changes nothing.")
    note: Words | None = Field(None, description="What they wrote.")
    offset: OffsetOrNone = Field(description="Offset of the action that asked, by which an approval names it.")


CaseReasons = Annotated[tuple[CaseReason, ...], Field(max_length=REASONS_MAX)]


class Case(Message):
    """The alerts of one card within one window. The newest record of a key replaces those before it.

    Every time in it but `taken_in_at_ms` comes from the log: a case made again from the same alerts and actions is the same.
    """

    case_id: CaseId = Field(description="Partition and offset of its first alert: 3-1042. The record's key.")
    card_id: Identifier = Field(description="Keyed pseudonym of the card.")
    state: CaseState = Field(description="Where the work stands.")
    change: CaseChange = Field(
        description="What this record changed; of a refused decision, what the record before it did."
    )
    version: Version = Field(description="Grows by one with each record of the case.")
    priority: Positive = Field(
        description="Money at risk: the sum of amount times probability of fraud over its alerts. Highest first."
    )
    opened_at_ms: EventTimeMs = Field(description="Kafka timestamp of the first alert, ms since 1970 UTC.")
    changed_at_ms: EventTimeMs = Field(description="Kafka timestamp of the alert or action behind this record.")
    window_start_ms: EventTimeMs = Field(description="Event time of the first alert: the window begins.")
    window_end_ms: EventTimeMs = Field(description="A later alert of the card opens the next case.")
    alerts: Count = Field(description="Alerts in it.")
    amount: Number = Field(description="Sum of their amounts, whatever the currency.")
    listed: Annotated[tuple[CaseAlert, ...], Field(max_length=ALERTS_MAX)] = Field(description="Its first alerts.")
    reasons: CaseReasons = Field(description="The strongest factors first, four at most.")
    model: ModelName = Field(description="What scored its newest alert.")
    decided_by: Annotated[str, Field(max_length=100)] | None = Field(None, description="Who confirmed or dismissed it.")
    note: Words | None = Field(None, description="What they wrote.")
    alert_offset: OffsetOrNone = Field(
        -1, description="Newest alert taken in: offset on the case's partition of `alerts`."
    )
    action_offset: OffsetOrNone = Field(-1, description="Newest action taken in: offset on `case-actions`.")
    decided_at_ms: EventTimeMs | None = Field(None, description="Kafka timestamp of that decision.")
    decided_version: Annotated[int, Field(ge=0, le=COUNT_MAX)] = Field(
        0, description="Version that the newest decision of an analyst made; 0 before the first."
    )
    history: Annotated[tuple[CaseDecision, ...], Field(max_length=HISTORY_MAX)] = Field(
        (), description="Decisions, refused ones too, assignments and notes, the oldest first; the newest 50."
    )
    pending: PendingDecision | None = Field(
        None, description="A decision that waits for a second person; the state is as it was before."
    )
    approved_by: Person | None = Field(None, description="The second person of the decision, where one was needed.")
    assignee: Person | None = Field(None, description="Who works it; no one where it is missing.")
    escalated: bool = Field(False, description="An analyst asked for a second look: it comes first in the queue.")
    taken_in_at_ms: EventTimeMs | None = Field(
        None,
        description="When the case service took in the newest alert or decision, by its own clock: expiry counts from here."
        " Missing in records of earlier versions, where `changed_at_ms` counts.",
    )

    @model_validator(mode="after")
    def _counts_fit(self) -> "Case":
        named = max((reason.alerts for reason in self.reasons), default=0)
        if max(len(self.listed), named) > self.alerts or self.decided_version > self.version:
            raise ValueError("it lists or names more alerts than it has, or was decided in a version to come")
        return self


class CaseAction(Message):
    """What an analyst (or the clock) does: to a case on the case's partition, to a card's or terminal's alerts on all."""

    action: CaseVerb = Field(description="What to do.")
    case_id: CaseId | None = Field(None, description="For all but mute and unmute: which case.")
    scope: MuteScope | None = Field(None, description="For mute, unmute: whether `muted_id` is a card or a terminal.")
    muted_id: Identifier | None = Field(None, description="For mute, unmute: whose alerts.")
    until_ms: EventTimeMs | None = Field(None, description="For mute: until when; without it for good (suppression).")
    by: Annotated[str, Field(min_length=1, max_length=100)] = Field(description="Who.")
    note: Words | None = Field(None, description="Why.")
    case_version: Version | None = Field(
        None,
        description="Version of the case that they saw. Without it the action is taken as it is: the last one counts.",
    )
    overrule: bool = Field(
        False, description="Decide although another decision stands; assign although another works it."
    )
    assignee: Person | None = Field(None, description="For assign: to whom; without it the case is released.")
    request_offset: OffsetOrNone | None = Field(
        None, description="For approve, reject: offset of the action that asked. Without it, whatever waits is meant."
    )

    @model_validator(mode="after")
    def _says_of_what(self) -> "CaseAction":
        of_alerts = self.action in ("mute", "unmute")
        if (None in (self.scope, self.muted_id)) if of_alerts else self.case_id is None:
            raise ValueError("it names no case, or no card or terminal to mute")
        return self


def held_card_number(action: CaseAction) -> str | None:
    """The name of a field that holds a card number: free text, and a card's id. A terminal's may be any number."""
    fields = {"by": action.by, "note": action.note, "assignee": action.assignee}
    return field_with_card_number({**fields, "muted_id": action.muted_id} if action.scope == "card" else fields)


class Mute(Message):
    """A card or terminal whose alerts make no cases for now, on `case-mutes`."""

    scope: MuteScope = Field(description="What `muted_id` is.")
    muted_id: Identifier = Field(description="Which.")
    until_ms: EventTimeMs | None = Field(None, description="Until when, ms since 1970 UTC; without it for good.")
    by: Annotated[str, Field(max_length=100)] = Field(description="Who muted it.")
    note: Words | None = Field(None, description="Why.")
