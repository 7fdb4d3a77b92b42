"""Settings: the console."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator
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
    oidc_issuer: str | None = Field(
        None,
        description="OpenID provider that people sign in at, as its ID tokens name it (https://...), beside local users. The "
        "console's address there is its own with /login/oidc/answer.",
    )
    oidc_client_id: str | None = Field(None, description="What the provider knows the console as.")
    oidc_client_secret: Secret = Field(
        None, description="Its secret there; without one PKCE alone ties code to console."
    )
    oidc_scopes: str = Field("openid profile email", description="What is asked for, with spaces between.")
    oidc_name_claim: str = Field(
        "preferred_username", description="Claim of the ID token that is a person's name here."
    )
    oidc_role_claim: str = Field(
        "roles", description="Claim that holds their roles or groups, a text or a list; dots lead into objects."
    )
    oidc_roles: str = Field(
        "",
        description="ROLE=VALUE, comma-separated: which value of that claim gives which role. Default: values are the roles' "
        "names. Of several roles the one counts that may most.",
    )
    oidc_ca_file: Path | None = Field(None, description="CA certificates (PEM) of the provider. Default: the system's.")
    session_h_max: Annotated[float, Field(gt=0, le=24 * 7)] = Field(10.0, description="A session ends after so long.")
    session_idle_min: Annotated[float, Field(gt=0, le=24 * 60)] = Field(
        60.0, description="A session without a request for so long ends."
    )
    page_cases: Annotated[int, Field(ge=10, le=500)] = Field(50, description="Cases on one page of the queue.")
    payments_max: Annotated[int, Field(ge=0, le=100_000_000)] = Field(
        2_000_000,
        description="Of so many payments, the newest on `scores`, both scores are kept in memory (33 bytes each) for the "
        "charts of cases; 0: charts show alerts only, and `scores` is not read.",
    )
    sla_h: Annotated[float, Field(gt=0)] = Field(
        4.0,
        description="An open case should be decided so soon after its first alert; the queue marks those that wait longer.",
    )
    undo_s: Annotated[float, Field(ge=0, le=120)] = Field(
        10.0, description="An action on many cases at once can be taken back for so long; then it is written."
    )
    pages_dir: Path | None = Field(
        None, description="Folder of pages that `assay what-if --page` wrote: the overview lists them and shows them."
    )
    grafana_url: str | None = Field(
        None,
        repr=False,
        description="Where Grafana with Assay's dashboards is; the overview links to it, so it holds no user, password or "
        "query. Without it, no links.",
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

    @field_validator("grafana_url")
    @classmethod
    def _is_shown_on_pages(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        if url is not None and (parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query):
            raise ValueError(
                "it is linked on pages: write http(s)://HOST[:PORT][/PATH], without user, password or query"
            )
        return url
