"""Settings: the converter, and the format of what it writes."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group


class OutputSettings(BaseSettings):
    """Output format."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_OUTPUT_", extra="ignore", frozen=True)

    format: Literal["json", "avro", "protobuf"] = Field(
        "json",
        description="avro, protobuf: `assay convert` copies scores, alerts and decisions to topics such as `scores.avro`. The "
        "topics themselves, which Assay's own programs read, are JSON always.",
    )


class ConverterSettings(BaseSettings):
    """Converter."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_CONVERTER_", extra="ignore", frozen=True)

    group: Group = Field("assay-converter", description="Consumer group of the converter.")
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9470, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
