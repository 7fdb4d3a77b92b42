"""Every setting: read once from the environment, typed, documented where it is defined.

`docs/settings.md` is generated from this file.
"""

import os
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group
from services.errors import SettingsError
from services.settings.names import check_names
from services.settings.secrets import KeySecret, Secret

S = TypeVar("S", bound=BaseSettings)

TRANSACTIONS_PER_S_MAX = {"exactly_once": 400.0, "at_least_once": 1000.0}


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
        "", description="Put before every topic's name, to keep environments apart on one cluster."
    )
    partitions: Annotated[int, Field(ge=1, le=1024)] = Field(4, description="Partitions of the topics that we create.")
    replication: Annotated[int, Field(ge=1, le=7)] = Field(
        1, description="Replicas of the topics that we create. 3, with min.insync.replicas 2, where data matters."
    )


class RuntimeSettings(BaseSettings):
    """Stream processors."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    group: Group = Field("assay-scorer", description="Consumer group. Every process of the same name shares the work.")
    group_instance_id: str | None = Field(
        None, description="Name of this member that survives its restart (static membership): fewer rebalances."
    )
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="exactly_once commits outputs and offsets in one transaction; at_least_once is faster.",
    )
    start_from: Literal["earliest", "latest"] = Field(
        "earliest", description="Where a group without committed offsets begins."
    )
    accepted_logs: Annotated[str, Field(pattern=r"^([0-9a-f]{32}(,[0-9a-f]{32})*)?$")] = Field(
        "",
        description="Topic ids, comma separated, of input topics that were deleted and made again and are to be scored from "
        "their first record with an empty state. Each is named by the sentence that the process stops or waits with.",
    )
    batch_records_max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        2000, description="Records in a micro-batch, at most."
    )
    batch_bytes_max: Annotated[int, Field(ge=1024)] = Field(4 << 20, description="Bytes in a micro-batch, at most.")
    transactions_per_s_max: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Micro-batches a second of one process, at most, while it keeps up: above it they are filled first. "
        f"{TRANSACTIONS_PER_S_MAX['exactly_once']:,.0f} where not set, "
        f"{TRANSACTIONS_PER_S_MAX['at_least_once']:,.0f} with at_least_once.",
    )
    message_bytes_max: Annotated[int, Field(ge=64)] = Field(
        64 << 10, description="A larger input is a dead letter (too_large)."
    )
    event_ahead_s_max: Annotated[float, Field(ge=0)] = Field(
        86_400.0, description="An event time further ahead of its record's Kafka timestamp is a dead letter (future)."
    )
    event_date_min: Annotated[date, Field(ge=date(1970, 1, 1), lt=date(2090, 1, 1))] = Field(
        date(1980, 1, 1),
        description="An event time before this day (UTC) is a dead letter (past): as a rule it is in seconds, not in ms.",
    )
    duplicate_window_records: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        100_000,
        description="A transaction id repeated within this many accepted records of its partition is a dead letter.",
    )
    dead_letter_share_max: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5,
        description="A partition with more dead letters than this, among its last records, is held with an alarm "
        "(`assay held`); repetitions do not count.",
    )
    dead_letter_window_records: Annotated[int, Field(ge=10)] = Field(
        1000, description="Over how many of a partition's last records that share is taken."
    )
    snapshot_url: str = Field(
        ".assay/snapshots",
        repr=False,
        description="Where state snapshots are kept: a directory, or a URL that fsspec opens (s3://..., extra `store`).",
    )
    snapshot_key: KeySecret = Field(
        None,
        description="Key that authenticates snapshots, 16 bytes or more: those written without it, or changed, are folded "
        "again from the log. Where others can write to the snapshots' folder.",
    )
    snapshot_interval_s: Annotated[float, Field(gt=0)] = Field(
        30.0, description="Seconds between a partition's snapshots."
    )
    drain_timeout_s: Annotated[float, Field(gt=0)] = Field(
        10.0,
        description="How long transactions in flight may take to finish after SIGTERM; when the group takes a partition, half "
        "of ASSAY_SESSION_TIMEOUT_S at most. A last snapshot is given up after three quarters of it.",
    )
    request_timeout_s: Annotated[float, Field(gt=0)] = Field(
        20.0, description="A send, offset or commit request slower than this fails its transaction."
    )
    transaction_timeout_s: Annotated[float, Field(gt=0)] = Field(
        30.0, description="After this the broker aborts a transaction whose producer went silent."
    )
    session_timeout_s: Annotated[float, Field(gt=0)] = Field(
        10.0, description="After this a silent member loses its partitions."
    )
    producer_age_s_max: Annotated[float, Field(gt=0)] = Field(
        86_400.0,
        description="A transactional producer is replaced by a fresh one after this, before sequence numbers wrap.",
    )
    progress_timeout_s: Annotated[float, Field(gt=0)] = Field(
        60.0,
        description="Records waiting and none committed for this long: not ready; for twice as long: the process ends. Records "
        "hidden by another producer's open transaction for this long: not ready.",
    )
    restarts_max: Annotated[int, Field(ge=0)] = Field(
        20, description="A partition that fails this many times in a row, without a commit between, ends the process."
    )
    http_host: str = Field(
        "127.0.0.1", description="Address of /metrics, /livez and /readyz. Loopback unless you say so."
    )
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(9464, description="Port of the same; 0 takes a free one.")
    http_username: str | None = Field(
        None, description="User name that /metrics and /held ask for (basic authentication)."
    )
    http_password: Secret = Field(
        None,
        description="Password that /metrics and /held ask for; /livez and /readyz stay open. Without one, /held answers on the "
        "same machine alone.",
    )
    http_tls_certificate_file: Path | None = Field(
        None, description="Certificate (PEM) for HTTPS on all three; the chain may follow."
    )
    http_tls_key_file: Path | None = Field(None, description="Key of that certificate (PEM).")
    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO",
        description="Our own events from this level on. The Kafka library never logs below INFO: it would print payloads.",
    )
    trace_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Share of the micro-batches traced with OpenTelemetry (extra `trace`); above 0 also every payment "
        "whose producer traces it. OTEL_EXPORTER_OTLP_ENDPOINT says where to.",
    )
    privacy_key: KeySecret = Field(
        None,
        description="Key of the hashes in dead letters, 16 bytes or more. Without one a random key is made at each start.",
    )
    privacy_key_id: str = Field("ephemeral", description="Name of that key, written beside each hash.")

    @property
    def accepted_log_ids(self) -> frozenset[str]:
        """The same, one by one."""
        return frozenset(filter(None, self.accepted_logs.split(",")))

    @property
    def event_ahead_ms_max(self) -> int:
        """The same in milliseconds."""
        return int(self.event_ahead_s_max * 1000)

    @property
    def event_time_ms_min(self) -> int:
        """The beginning of `event_date_min`, ms since 1970 UTC."""
        return int(datetime.combine(self.event_date_min, time(), UTC).timestamp() * 1000)


class ScorerSettings(BaseSettings):
    """Scorer."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    bundle: Path | None = Field(
        None,
        description="Bundle that scores, a directory or a (sealed) container, where no registry has a champion "
        "(ASSAY_REGISTRY_URL).",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where models run. cuda refuses to start without a usable GPU; auto says what it took."
    )
    cards_max: Annotated[int, Field(ge=1)] = Field(
        250_000,
        description="Cards remembered in each partition. Beyond it the longest idle (by event time) are forgotten, those of "
        "one or two payments first, down to an eighth of the room.",
    )
    decision_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="Share of the transactions without alert whose decision is recorded too."
    )
    control_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Share of the alerts marked `let_through`, by transaction id: set it where payments are blocked on alerts, "
        "and do not block these, so that quality stays measurable.",
    )
    card_numbers_refused_in: Literal["card_id", "ids"] = Field(
        "card_id",
        description="Where a card number makes a payment a dead letter. ids: in transaction_id and terminal_id too, which are "
        "repeated in outputs. Not where these are plain numbers: of 16 random digits one in 23 looks like a card's.",
    )

    swap_watch_records: Annotated[int, Field(ge=100)] = Field(
        20_000,
        description="After a swap: over how many payments of a process the new model is watched, the old one kept ready.",
    )
    swap_alert_ratio_max: Annotated[float, Field(gt=1)] = Field(
        3.0,
        description="Watched: more alerts than this times the old model's rate, or fewer than its inverse: rolled back.",
    )
    swap_latency_ratio_max: Annotated[float, Field(gt=1)] = Field(
        5.0, description="Watched: more model time a payment than this times the old model's: rolled back."
    )


class BundleSettings(BaseSettings):
    """Bundles and the registry."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    bundle_public_keys: str = Field(
        "",
        description="Public keys, one of which must have signed a bundle: PEM files, comma separated, or the PEM itself. "
        "Without one nothing scores.",
    )
    demo_bundle: bool = Field(
        False,
        description="For a look, as `assay demo` does: the demo's bundles score where none is set, and its key is trusted "
        "where none is pinned. Not for data that matters.",
    )
    allow_unsigned_bundles: bool = Field(
        False,
        description="Score with bundles that no one signed. Anyone who can write a bundle then decides what is fraud.",
    )
    bundle_version_min: Annotated[int, Field(ge=1)] = Field(
        1, description="Older versions are refused, rollbacks too: raise it when a signed bundle turns out to be bad."
    )
    bundle_seal_key: Secret = Field(None, description="Key that opens sealed bundles: 32 bytes in base64.")
    bundle_seal_key_file: Path | None = Field(None, description="File that holds that key.")
    bundle_seal_key_command: str | None = Field(
        None,
        repr=False,
        description="Command that prints that key, run without a shell when a sealed bundle is met: the way to a KMS.",
    )
    registry_url: str | None = Field(
        None,
        repr=False,
        description="Bundle registry: a directory, or a URL that fsspec opens (s3://..., extra `store`).",
    )
    registry_line: str = Field("fraud", description="Model line of the registry whose champion a scorer starts with.")


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


def load(settings: type[S]) -> S:
    """Settings from the environment. Raises SettingsError: one sentence that names the variable."""
    check_names(os.environ)
    try:
        return settings()
    except ValidationError as error:
        first = error.errors()[0]
        prefix = settings.model_config.get("env_prefix", "")
        name = prefix + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            f"{name} is not usable: {first['msg'].removeprefix('Value error, ')}. See docs/settings.md."
        ) from None
