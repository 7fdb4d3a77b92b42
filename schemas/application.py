"""A credit application, as it arrives on `applications`."""

from typing import Annotated

from pydantic import Field

from schemas.base import EventTimeMs, Message, Number, RawIdentifier
from schemas.feature_kinds.event import ATTRIBUTES_MAX, AttributeName

AttributeValue = Number | bool | Annotated[str, Field(max_length=200)] | None
"""A number, yes or no, or a category. Null says that it is not known."""


class Application(Message):
    """One application for credit. The record's key is `applicant_id`."""

    application_id: RawIdentifier = Field(description="Unique id of the application; a repeated one is a dead letter.")
    event_time_ms: EventTimeMs = Field(description="When it was made, ms since 1970 UTC.")
    applicant_id: RawIdentifier = Field(
        description="Keyed pseudonym of the applicant; never a name, an account or a card number."
    )
    attributes: Annotated[dict[AttributeName, AttributeValue], Field(max_length=ATTRIBUTES_MAX)] = Field(
        description="What is known, by name. Those that the bundle's feature spec reads must be there; others are ignored."
    )
