"""Settings: the profiler."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group


class ProfilerSettings(BaseSettings):
    """Profiler."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_PROFILER_", extra="ignore", frozen=True)

    group: Group = Field("assay-profiler", description="Consumer group of the profiler; ASSAY_GROUP is the scorer's.")
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9465, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    frauds_max: Annotated[int, Field(ge=1)] = Field(
        1_000_000,
        description="Frauds remembered in each partition of labels, so that a later label can take one back.",
    )
