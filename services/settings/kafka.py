"""Settings: Kafka: the connection, and our topics."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.settings.secrets import Secret


class KafkaSettings(BaseSettings):
    """Kafka connection."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_KAFKA_", extra="ignore", frozen=True)

    bootstrap: str = Field("127.0.0.1:9092", description="Brokers to start from: host:port, comma separated.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How connections are protected."
    )
    ssl_ca_file: Path | None = Field(
        None, description="CA certificates (PEM) that sign the brokers'. Default: the system's."
    )
    ssl_certificate_file: Path | None = Field(None, description="Client certificate (PEM), for mutual TLS.")
    ssl_key_file: Path | None = Field(None, description="Key of the client certificate (PEM).")
    ssl_key_password: Secret = Field(None, description="Password of that key.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "SCRAM-SHA-512", description="How the client proves who it is."
    )
    sasl_username: str | None = Field(None, description="User name for SASL.")
    sasl_password: Secret = Field(None, description="Password for SASL.")
    sasl_oauth_token_file: Path | None = Field(
        None, description="OAUTHBEARER: file with the access token, read at each login, so that it may be renewed."
    )
    sasl_oauth_token_url: Annotated[str, Field(pattern=r"^https?://")] | None = Field(
        None, repr=False, description="OAUTHBEARER without a file: token endpoint for the client credentials grant."
    )
    sasl_oauth_client_id: str | None = Field(None, description="Client id for the token endpoint.")
    sasl_oauth_client_secret: Secret = Field(None, description="Client secret for the token endpoint.")
    sasl_oauth_scope: str | None = Field(None, description="Scope to ask the token endpoint for.")


class TopicSettings(BaseSettings):
    """Topics."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = Field(
        "",
        description="Put before the names of Assay's topics, to keep environments apart; not before a source spec's.",
    )
    partitions: Annotated[int, Field(ge=1, le=1024)] = Field(4, description="Partitions of the topics that we create.")
    replication: Annotated[int, Field(ge=1, le=7)] = Field(
        1, description="Replicas of the topics that we create. 3, with min.insync.replicas 2, where data matters."
    )
