"""Settings: the monitor."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group
from schemas.credit_label import CREDIT_LABEL_AGE_DAYS_MAX


class MonitorSettings(BaseSettings):
    """Monitor."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_MONITOR_", extra="ignore", frozen=True)

    group: Group = Field("assay-monitor", description="Consumer group of the monitor.")
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9467, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    window_records: Annotated[int, Field(ge=100)] = Field(
        10_000, description="Drift is reported each time so many payments were scored by a model ..."
    )
    window_h: Annotated[float, Field(ge=0)] = Field(
        24.0,
        description="... and so much event time has passed: less than a day is no day's traffic, and looks drifted.",
    )
    psi_max: Annotated[float, Field(gt=0)] = Field(
        0.25, description="A distribution whose population stability index is above this has drifted."
    )
    quality_interval_s: Annotated[float, Field(gt=0)] = Field(
        60.0, description="Quality is reported so often, while evidence comes in."
    )
    maturity_days: Annotated[int, Field(ge=1)] = Field(
        60, description="A payment without a label is legitimate once it is so old."
    )
    ledger_max: Annotated[int, Field(ge=1)] = Field(
        200_000, description="Payments remembered for their labels, about 0.7 KB each; the oldest make room."
    )


class CreditMonitorSettings(MonitorSettings):
    """Monitor of credit."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_CREDIT_MONITOR_", extra="ignore", frozen=True)

    group: Group = Field("assay-credit-monitor", description="Consumer group of the monitor of credit.")
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9472, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    window_records: Annotated[int, Field(ge=100)] = Field(
        1_000, description="Drift is reported each time so many applications were scored by a model ..."
    )
    maturity_days: Annotated[int, Field(ge=1, le=CREDIT_LABEL_AGE_DAYS_MAX)] = Field(
        365, description="After so many days an application's loan counts as old enough for its label to have come."
    )
    ledger_max: Annotated[int, Field(ge=1)] = Field(
        200_000, description="Applications remembered for their labels, about 0.7 KB each; the oldest make room."
    )
