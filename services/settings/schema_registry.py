"""Settings: the schema registry that the records of Avro and Protobuf topics name their schemas in."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.settings.secrets import Secret


class SchemaRegistrySettings(BaseSettings):
    """Schema registry."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_SCHEMA_REGISTRY_", extra="ignore", frozen=True)

    url: Annotated[str, Field(pattern=r"^https?://[^\s,]+(\s*,\s*https?://[^\s,]+)*$")] | None = Field(
        None,
        repr=False,
        description="Where the registry's API is, as Confluent has it; several, comma separated, are tried in turn.",
    )
    username: str | None = Field(None, description="User name, for basic authentication.")
    password: Secret = Field(None, description="Password, for basic authentication.")
    token: Secret = Field(None, description="Bearer token, in place of user name and password.")
    token_file: Path | None = Field(
        None, description="File with the bearer token, read at each request, so that it may be renewed."
    )
    ssl_ca_file: Path | None = Field(
        None, description="CA certificates (PEM) that sign the registry's. Default: the system's."
    )
    ssl_certificate_file: Path | None = Field(None, description="Client certificate (PEM), for mutual TLS.")
    ssl_key_file: Path | None = Field(None, description="Key of the client certificate (PEM).")
    ssl_key_password: Secret = Field(None, description="Password of that key.")
    timeout_s: Annotated[float, Field(gt=0, le=300)] = Field(
        10.0, description="A request waits so long for its answer."
    )
