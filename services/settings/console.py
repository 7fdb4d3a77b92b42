"""Settings: the console."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.settings.secrets import Secret


class ConsoleSettings(BaseSettings):
    """Console."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_CONSOLE_", extra="ignore", frozen=True)

    host: str = Field(
        "127.0.0.1",
        description="Address that `assay console` serves on. Beyond loopback it needs TLS, its own or in front.",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8490, description="Port of its pages, probes and metrics; 0 takes a free one."
    )
    hostnames: str = Field(
        "", description="Names under which browsers reach it, comma-separated, besides loopback's; others are refused."
    )
    behind_tls: bool = Field(
        False, description="A proxy in front of it ends TLS: cookies are marked Secure, and other hosts may reach it."
    )
    tls_certificate_file: Path | None = Field(None, description="Certificate (PEM) for HTTPS; the chain may follow.")
    tls_key_file: Path | None = Field(None, description="Key of that certificate (PEM).")
    tls_client_ca_file: Path | None = Field(
        None,
        description="CA certificates (PEM): each browser needs a certificate of theirs, besides its user's password.",
    )
    database_url: Secret = Field(
        None,
        description="Where the read model is kept, as SQLAlchemy writes it: postgresql+psycopg://... Default: the file "
        ".assay/console.db. It can be thrown away: `assay console --rebuild` makes it again of the topics.",
    )
    users_file: Path = Field(
        Path(".assay/console-users.json"),
        description="File of local users (`assay console users add`), hashed (argon2id).",
    )
    session_h_max: Annotated[float, Field(gt=0, le=24 * 7)] = Field(10.0, description="A session ends after so long.")
    session_idle_min: Annotated[float, Field(gt=0, le=24 * 60)] = Field(
        60.0, description="A session without a request for so long ends."
    )
    page_cases: Annotated[int, Field(ge=10, le=500)] = Field(50, description="Cases on one page of the queue.")
    sla_h: Annotated[float, Field(gt=0)] = Field(
        4.0,
        description="An open case should be decided so soon after its first alert; the queue marks those that wait longer.",
    )
    wait_s: Annotated[float, Field(gt=0, le=60)] = Field(
        10.0,
        description="A page waits so long for what the case service makes of an action, then says that it is written.",
    )
    body_bytes_max: Annotated[int, Field(ge=1024, le=8 << 20)] = Field(
        256 << 10, description="A larger request is refused (413)."
    )
    head_bytes_max: Annotated[int, Field(ge=1024, le=1 << 20)] = Field(
        16 << 10, description="A request whose headers are larger is refused (431), as is one of over 100 headers."
    )
    connections_max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        500, description="Connections at once, at most; one more is answered 503, or closed where TLS is on."
    )
    client_connections_max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        100,
        description="Of these one client may hold so many, by its address (by the first 64 bits of an IPv6 address); one more "
        "is refused.",
    )
    proxies: str = Field(
        "",
        description="Networks (10.0.0.0/8, comma separated) of proxies, whose addresses many browsers share: of them "
        "ASSAY_CONSOLE_CLIENT_CONNECTIONS_MAX is not asked.",
    )
    request_s_max: Annotated[float, Field(gt=0, le=3600)] = Field(
        10.0,
        description="A request whose head and form are not here within this is refused (408); its page must be read within "
        "this and ASSAY_CONSOLE_WAIT_S.",
    )
