"""Settings: intake."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group


class IntakeSettings(BaseSettings):
    """Intake."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_INTAKE_", extra="ignore", frozen=True)

    group: Group = Field("assay-intake", description="Consumer group of intake; ASSAY_GROUP is the scorer's.")
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9469, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    source: Path | None = Field(
        None, description="Source spec of the topic to read. Default: that of the bundle that scores."
    )
