"""Settings: what every stream processor on the engine reads."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Group
from services.settings.secrets import KeySecret, Secret

TRANSACTIONS_PER_S_MAX = {"exactly_once": 400.0, "at_least_once": 1000.0}
LATENCY_FACTOR = 2.0
"""With the profile latency: so many times as many micro-batches a second."""
FETCH_WAIT_MS_MAX = {"throughput": 20, "latency": 5}
"""How long a broker holds a fetch back that finds nothing, by profile."""


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
    profile: Literal["throughput", "latency"] = Field(
        "throughput",
        description=f"latency: {LATENCY_FACTOR:g} times as many micro-batches a second, unless ASSAY_TRANSACTIONS_PER_S_MAX is "
        "set, fetches that wait for no other partition, and offsets sent beside the outputs: each event waits less and costs "
        "more. For callers that wait for an answer (docs/gateway.md).",
    )
    transactions: Literal["partition", "process"] = Field(
        "partition",
        description="With exactly_once. partition: a transaction for each micro-batch. process: one transaction for what all "
        "partitions of the process bring while the last one commits; fewer of them, but a fault in one ends it for all.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none",
        description="Of outputs. Packed ones are a quarter (lz4, snappy) to a sixth (zstd) as large on network and disk, "
        "and take more of the processor, zstd 1 us a score and lz4 five.",
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
    duplicate_window_s: Annotated[float, Field(ge=0, le=7 * 86_400)] = Field(
        120.0,
        description="A transaction id repeated within this time on its partition, by the records' Kafka timestamps, is a dead "
        "letter (duplicate). A Kafka producer gives up after 120 s unless its delivery.timeout.ms says otherwise.",
    )
    duplicate_window_records_min: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        100_000,
        description="So many of a partition's last accepted records are remembered however long ago they came. 0: repetitions "
        "are not looked for.",
    )
    duplicate_window_records_max: Annotated[int, Field(ge=0, le=100_000_000)] = Field(
        4_500_000,
        description="Ids remembered in a partition, at most, 35 bytes each: enough for 27,500 records a second and 120 s "
        "with a quarter more. Above it the window is shorter.",
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
    http_connections_max: Annotated[int, Field(ge=2, le=10_000)] = Field(
        32, description="Connections of it at once, at most, each for 10 s; one more, and the oldest is closed."
    )
    http_client_connections_max: Annotated[int, Field(ge=1, le=10_000)] = Field(
        8,
        description="Of these one client may hold so many, by its address (by the first 64 bits of an IPv6 address); one more, "
        "and its own oldest is closed.",
    )
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
    def pace(self) -> float:
        """Micro-batches a second of one process, at most, while it keeps up."""
        if self.transactions_per_s_max is not None:
            return self.transactions_per_s_max
        return TRANSACTIONS_PER_S_MAX[self.delivery] * (LATENCY_FACTOR if self.profile == "latency" else 1.0)

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
