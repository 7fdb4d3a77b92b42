"""Settings: the entities service."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group


class EntitiesSettings(BaseSettings):
    """Entities."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_ENTITIES_", extra="ignore", frozen=True)

    group: Group = Field(
        "assay-entities", description="Consumer group of `assay entities`; ASSAY_GROUP is the scorer's."
    )
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9471, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    ids_max: Annotated[int, Field(ge=1)] = Field(
        250_000,
        description="Ids of each entity remembered in each partition of `entity-events`. Beyond it the longest idle are "
        "forgotten, as ASSAY_CARDS_MAX has it for cards.",
    )
