"""Settings: the gateway."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.answer import Verdict

ALGORITHM = "RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA"


class GatewaySettings(BaseSettings):
    """Gateway."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_GATEWAY_", extra="ignore", frozen=True)

    host: str = Field(
        "127.0.0.1", description="Address that `assay gateway` serves on. Without credentials only loopback is allowed."
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8480, description="Port of its HTTP API, probes and metrics; 0 takes a free one."
    )
    grpc_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None,
        description="Port of the same over gRPC (extra `grpc`), on the same address, with the same TLS and access; 0 takes a "
        "free one. Not served where not set.",
    )
    deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = Field(
        100, description="A caller that names no deadline (header `Assay-Deadline-Ms`) is answered within this."
    )
    deadline_ms_max: Annotated[int, Field(ge=1, le=60_000)] = Field(
        10_000, description="A caller may ask for no later a deadline than this."
    )
    stand_in: Verdict = Field(
        "alert", description="The decision of an answer whose deadline passes before the score is committed."
    )
    pending_events_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        1_000,
        description="Events that wait for their score, at most; beyond it the answer is 429, and nothing is written.",
    )
    pending_s_max: Annotated[float, Field(gt=0, le=3600)] = Field(
        30.0, description="An event whose answer does not come within this makes room for another."
    )
    stalled_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        5.0,
        description="While an event waits longer than this for its score, events of its partition are answered 503 and not "
        "written; those of all partitions where none is scored at all.",
    )
    memory_events_max: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        100_000,
        description="Decisions remembered, so that a repeated event gets the same one: 1 kB each, read back from `answers` at "
        "a start.",
    )
    memory_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        600.0, description="How far back they are read at a start."
    )
    events_max: Annotated[int, Field(ge=1, le=10_000)] = Field(100, description="Events in one request, at most.")
    body_bytes_max: Annotated[int, Field(ge=1024, le=64 << 20)] = Field(
        1 << 20,
        description="A larger request is refused (413); an event is bounded by ASSAY_MESSAGE_BYTES_MAX besides.",
    )
    head_bytes_max: Annotated[int, Field(ge=1024, le=1 << 20)] = Field(
        16 << 10,
        description="A request whose headers, trailers and chunk sizes are larger is refused (431), as is one of over 100 "
        "headers.",
    )
    request_s_max: Annotated[float, Field(gt=0, le=3600)] = Field(
        10.0,
        description="A request whose head and body are not here within this is refused (408); its answer must be read within "
        "this and ASSAY_GATEWAY_DEADLINE_MS_MAX.",
    )
    keys_file: Path | None = Field(
        None, description="File of API keys (`assay gateway keys add`), hashed; read again when it changes."
    )
    client_events_per_s_max: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Events a second of one client, at most, where its key names no other rate; beyond it 429. Each gateway "
        "process counts for itself: with n of them a client has up to n times as many.",
    )
    tls_certificate_file: Path | None = Field(None, description="Certificate (PEM) for HTTPS; the chain may follow.")
    tls_key_file: Path | None = Field(None, description="Key of that certificate (PEM).")
    tls_client_ca_file: Path | None = Field(
        None,
        description="CA certificates (PEM): each client needs a certificate of theirs, whose common name is who asks. With "
        "ASSAY_GATEWAY_KEYS_FILE an API key names it instead.",
    )
    oidc_issuer: str | None = Field(
        None,
        description="Issuer of bearer tokens (JWT) that are taken, as its tokens say it: an https:// address. Its keys are "
        "found by its discovery document.",
    )
    oidc_audience: str | None = Field(None, description="What tokens must be made for (`aud`). Needed with an issuer.")
    oidc_jwks_url: str | None = Field(
        None, repr=False, description="Where the issuer's keys (JWKS) are, in place of its discovery document."
    )
    oidc_algorithms: Annotated[str, Field(pattern=f"^({ALGORITHM})(,({ALGORITHM}))*$")] = Field(
        "RS256,ES256", description="Signatures that are taken, comma separated; none with a shared secret."
    )
    oidc_scope_prefix: Annotated[str, Field(max_length=100)] = Field(
        "assay:",
        description="Of the scopes in tokens: `assay:decide` opens what `decide` does, `assay:decide:PRODUCT` at the gateways "
        "of that product alone.",
    )
    oidc_ca_file: Path | None = Field(
        None, description="CA certificates (PEM) of the issuer's server; those of the system where not set."
    )
    oidc_refresh_s: Annotated[float, Field(ge=10, le=3600)] = Field(
        300.0,
        description="The issuer's keys are read so often, and when a token names one that is not known. While it does not "
        "answer those of before count, for a day.",
    )
    connections_max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1_000,
        description="Connections at once, at most, and as many over gRPC; one more is answered 503, or closed where it is one "
        "of TLS or gRPC.",
    )
    client_connections_max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        200,
        description="Of these one client may hold so many, by its address (by the first 64 bits of an IPv6 address); one more "
        "is refused. Over gRPC as many of its calls may wait for its messages, or for it to read the answer.",
    )
    proxies: str = Field(
        "",
        description="Networks (10.0.0.0/8, comma separated) of proxies, whose addresses many clients share: of them "
        "ASSAY_GATEWAY_CLIENT_CONNECTIONS_MAX is not asked.",
    )
