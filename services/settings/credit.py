"""Settings: the credit service."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group


class CreditSettings(BaseSettings):
    """Credit service."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_CREDIT_", extra="ignore", frozen=True)

    group: Group = Field(
        "assay-credit", description="Consumer group of the credit service; ASSAY_GROUP is the scorer's."
    )
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9468, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    bundle: Path | None = Field(
        None, description="Bundle that judges applications, a directory or a (sealed) container."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where models run. cuda refuses to start without a usable GPU; auto says what it took."
    )
    batch_records_max: Annotated[int, Field(ge=1, le=10_000)] = Field(
        200,
        description="Applications in a micro-batch, at most: reasons for one take some 10 ms, and must not hold up many.",
    )
