"""Settings: cases."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group
from schemas.lists import ListName
from services.settings.secrets import KeySecret


class CasesSettings(BaseSettings):
    """Cases."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_CASES_", extra="ignore", frozen=True)

    group: Group = Field("assay-cases", description="Consumer group of the case service.")
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9466, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    window_h: Annotated[float, Field(gt=0)] = Field(
        24.0, description="Alerts of a card within so many hours of the first, in event time, are one case."
    )
    expire_days: Annotated[float, Field(gt=0)] = Field(
        14.0,
        description="An open case expires after waiting so long, from when the service took its newest alert in.",
    )
    keep_days: Annotated[float, Field(gt=0)] = Field(
        180.0, description="A closed case is forgotten so long after its last change was taken in."
    )
    confirmed_list: ListName | None = Field(
        None,
        description="List that the card of a confirmed case is put on; without it none. A later dismissal takes it off.",
    )
    confirmed_list_days: Annotated[float, Field(gt=0, le=3650)] | None = Field(
        None, description="So long a card counts on it, from the decision; without it for ever."
    )
    second_person_amount: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="Confirming or dismissing a case whose alerts sum to this amount or more takes effect once a second person "
        "approves it; without it no decision needs one.",
    )
    second_person_h: Annotated[float, Field(gt=0, le=24 * 90)] = Field(
        72.0, description="A decision that waits for a second person is rejected after so long."
    )
    tick_s: Annotated[float, Field(gt=0)] = Field(60.0, description="How often expiry is looked at.")
    webhook_url: str | None = Field(
        None,
        repr=False,
        description="Where cases are posted to; without it nowhere. Some hold a token, so it is not shown.",
    )
    webhook_secret: KeySecret = Field(
        None, description="Key of the signature in `Assay-Signature`; needed with the URL; 16 bytes or more."
    )
    webhook_attempts_max: Annotated[int, Field(ge=1, le=20)] = Field(
        6, description="Attempts before a case becomes a dead letter (undelivered)."
    )
    webhook_timeout_s: Annotated[float, Field(gt=0)] = Field(10.0, description="Of one attempt.")
