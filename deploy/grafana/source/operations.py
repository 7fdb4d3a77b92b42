"""Operations: is everything moving, how fast, and what goes wrong."""

from deploy.grafana.source.asking import CONSOLE, GATEWAY
from deploy.grafana.source.chart import JOBS, Board, Chart, Query, Section
from deploy.grafana.source.queries import quantile, quantiles, rate

ROUTED = "a source is routed"
"""What intake's series wait for."""

STAGED = "a feature reads entities"
"""What the stages' series wait for."""

NOW = Section(
    "Now",
    [
        Chart(
            "Ready processes",
            "none",
            "Processes whose partitions are all restored and moving.",
            [Query(f"sum(assay_ready{{{JOBS}}})")],
            "not-ready",
            "number",
        ),
        Chart(
            "Partitions owned",
            "none",
            "Over all processes. Fewer than the topics have: no one works the rest.",
            [Query(f"sum(assay_assigned_partitions{{{JOBS}}})")],
            "not-ready",
            "number",
        ),
        Chart(
            "Waiting records",
            "short",
            "Records in the input topics that are not yet committed.",
            [Query(f"sum(assay_lag_records{{{JOBS}}})")],
            "lag-grows",
            "number",
        ),
        Chart(
            "Partitions held",
            "none",
            "Held because too many of their records are dead letters. Any is an alarm.",
            [Query(f"sum(assay_partition_held{{{JOBS}}})")],
            "partition-held",
            "number",
        ),
    ],
)

MOVING = Section(
    "Throughput and lag",
    [
        Chart(
            "Records committed",
            "cps",
            "Input records a second whose outputs are committed, by partition.",
            [Query(rate("assay_records_total", "job, partition"), "{{job}} {{partition}}")],
            "no-progress",
            "stacked",
        ),
        Chart(
            "Lag",
            "short",
            "Records behind the end of each partition.",
            [Query(f"sum by (job, partition) (assay_lag_records{{{JOBS}}})", "{{job}} {{partition}}")],
            "lag-grows",
        ),
        Chart(
            "Intake: events and lag",
            "short",
            "Events a second that intake committed on `events`, and records of the user's topic that wait. Empty where the "
            "scorer reads the topic itself.",
            [
                Query(rate("assay_events_total", "job"), "events {{job}}", quiet=ROUTED),
                Query('sum by (job) (assay_lag_records{job="assay-intake"})', "waiting {{job}}", quiet=ROUTED),
            ],
            "lag-grows",
        ),
        Chart(
            "Entities: waiting and lag",
            "short",
            "Seconds from the source's record until the values of each entity are committed; and records that wait. "
            "Empty where no feature reads an entity.",
            [
                *(
                    Query(
                        quantile(share, "assay_entity_wait_seconds", by="le, entity"),
                        f"{name} {{{{entity}}}}, s",
                        quiet=STAGED,
                    )
                    for share, name in ((0.5, "p50"), (0.99, "p99"))
                ),
                Query('sum by (job) (assay_lag_records{job="assay-entities"})', "waiting {{job}}", quiet=STAGED),
            ],
            "entities-are-slow",
        ),
        Chart(
            "Batch size",
            "short",
            "Records in a micro-batch. Full batches mean that the process works at its limit.",
            quantiles("assay_batch_records")[:2],
            "lag-grows",
        ),
        Chart(
            "Transactions",
            "cps",
            "Micro-batches committed a second, by partition. Bounded by ASSAY_TRANSACTIONS_PER_S_MAX. Shared: transactions "
            "that each hold several of them (ASSAY_TRANSACTIONS=process).",
            [
                Query(rate("assay_transactions_total", "job, partition"), "{{job}} {{partition}}"),
                Query(rate("assay_process_transactions_total", "job"), "{{job}} shared"),
            ],
            "lag-grows",
        ),
    ],
)

LATENCY = Section(
    "Latency",
    [
        Chart(
            "From producer to committed score",
            "s",
            "From the input record's timestamp to its committed score. The dots are exemplars: the slowest record of a batch.",
            quantiles("assay_commit_latency_seconds"),
            "latency-budget-burns",
        ),
        Chart(
            "From producer to committed score, distribution",
            "s",
            "Scores a second, by how long they took.",
            [Query(rate("assay_commit_latency_seconds_bucket", "le"))],
            "latency-budget-burns",
            "heatmap",
        ),
        Chart(
            "From the payment itself to its committed score",
            "s",
            "From event time: what the producers' own delay adds. Simulated days that fly by show as years.",
            quantiles("assay_event_latency_seconds"),
            "latency-budget-burns",
        ),
        Chart(
            "Transaction time",
            "s",
            "Outputs, offsets and commit of one micro-batch: the brokers' part.",
            quantiles("assay_stage_seconds", JOBS + ',stage="deliver"'),
            "latency-budget-burns",
        ),
        Chart(
            "Stages, 99th percentile",
            "s",
            "Time of one batch in each stage.",
            [Query(quantile(0.99, "assay_stage_seconds", by="le, stage"), "{{stage}}")],
            "latency-budget-burns",
        ),
        Chart(
            "Stages, share of the time",
            "percentunit",
            "Seconds spent in each stage, a second.",
            [Query(rate("assay_stage_seconds_sum", "stage"), "{{stage}}")],
            "latency-budget-burns",
            "stacked",
        ),
    ],
)

FAULTS = Section(
    "Faults",
    [
        Chart(
            "Dead letters by reason",
            "cps",
            "Records a second that could not be scored.",
            [Query(rate("assay_dead_letters_total", "reason"), "{{reason}}")],
            "dead-letters",
            "stacked",
        ),
        Chart(
            "Retries of the Kafka client",
            "cps",
            "Retriable errors that the client met and retried. Hundreds a second are usual at full load.",
            [Query(rate("assay_client_retries_total", "error"), "{{error}}")],
            "producers-fenced",
        ),
        Chart(
            "Partitions started again",
            "cps",
            "A partition was thrown away and built again from what is committed, by error.",
            [Query(rate("assay_partition_failures_total", "error"), "{{error}}")],
            "producers-fenced",
        ),
        Chart(
            "Producers started and fenced",
            "cps",
            "Fenced: another owner took the partition while we thought that it was ours. One at a takeover is right.",
            [
                Query(rate("assay_producers_started_total", "cause"), "started: {{cause}}"),
                Query(rate("assay_producers_fenced_total", "job"), "fenced: {{job}}"),
            ],
            "producers-fenced",
        ),
        Chart(
            "Rebalances",
            "cps",
            "Assignments received from the group.",
            [Query(rate("assay_rebalances_total", "job"), "{{job}}")],
            "producers-fenced",
        ),
        Chart(
            "Records lost to retention, too late, not selected",
            "cps",
            "Removed before they were read, read too late to enter the history of their card, and passed over by the source "
            "spec's `select`.",
            [
                Query(rate("assay_offset_gap_records_total", "partition"), "lost {{partition}}"),
                Query(rate("assay_late_records_total", "partition"), "late {{partition}}"),
                Query(rate("assay_unselected_records_total", "partition"), "not selected {{partition}}"),
            ],
            "records-lost",
        ),
        Chart(
            "Ids: new, forgotten, misplaced",
            "cps",
            "Ids that begin a history, ids forgotten for want of room (fresh, or with a history), records on another "
            "partition than their card's.",
            [
                Query(rate("assay_new_ids_total", "partition"), "new {{partition}}"),
                Query(rate("assay_evicted_ids_total", "partition, kind"), "forgotten {{kind}} {{partition}}"),
                Query(rate("assay_misplaced_records_total", "partition"), "misplaced {{partition}}"),
            ],
            "flood-of-fresh-ids",
        ),
        Chart(
            "Log lines held back",
            "cps",
            "Repetitions of a fault beyond what is logged a minute.",
            [Query(rate("assay_log_lines_held_back_total", "job"), "{{job}}")],
            "producers-fenced",
        ),
        Chart(
            "Days until a certificate expires",
            "d",
            "Of the TLS files that the process was given; empty without any.",
            [
                Query(
                    f"(min by (file) (assay_certificate_expiry_timestamp_seconds{{{JOBS}}}) - time()) / 86400",
                    "{{file}}",
                )
            ],
            "certificate-expires",
            "bars",
        ),
    ],
)

STATE = Section(
    "State",
    [
        Chart(
            "Ids in the state",
            "short",
            "Cards or terminals remembered, by partition.",
            [Query(f"sum by (job, partition) (assay_state_cards{{{JOBS}}})", "{{job}} {{partition}}")],
            "snapshot-too-old",
        ),
        Chart(
            "Snapshot size",
            "bytes",
            "Of the newest snapshot, by partition.",
            [Query(f"max by (job, partition) (assay_snapshot_bytes{{{JOBS}}})", "{{job}} {{partition}}")],
            "snapshot-too-old",
        ),
        Chart(
            "Snapshot age",
            "s",
            "Since the newest snapshot was saved. A restart folds everything that came after it.",
            [
                Query(
                    f"time() - max by (job, partition) (assay_snapshot_timestamp_seconds{{{JOBS}}})",
                    "{{job}} {{partition}}",
                )
            ],
            "snapshot-too-old",
        ),
        Chart(
            "Snapshots",
            "cps",
            "Saved, failed, restored, rejected.",
            [Query(rate("assay_snapshots_total", "outcome"), "{{outcome}}")],
            "snapshot-too-old",
        ),
        Chart(
            "Tables that are followed",
            "s",
            "Age and lag of the tables that the scorer looks up: terminal profiles.",
            [
                Query(f"max by (topic) (assay_table_age_seconds{{{JOBS}}})", "age {{topic}}"),
                Query(f"max by (topic) (assay_table_lag_records{{{JOBS}}})", "records behind {{topic}}"),
            ],
            "table-too-old",
        ),
        Chart(
            "Memory",
            "bytes",
            "Resident memory of each process.",
            [Query(f"process_resident_memory_bytes{{{JOBS}}}", "{{job}} {{instance}}")],
            "not-ready",
        ),
        Chart(
            "Processor",
            "percentunit",
            "Cores used by each process. A scorer near 1 for its loop is at its limit: add processes.",
            [Query(f"rate(process_cpu_seconds_total{{{JOBS}}}[$__rate_interval])", "{{job}} {{instance}}")],
            "lag-grows",
        ),
        Chart(
            "What the profiler leaves out",
            "cps",
            "Frauds without terminal or time, sums of days that lie too far back, and terminals that made room for others.",
            [
                Query("sum(rate(assay_unplaced_labels_total[$__rate_interval]))", "frauds not placed"),
                Query("sum(rate(assay_forgotten_terminal_sums_total[$__rate_interval]))", "sums too old"),
                Query(rate("assay_forgotten_terminals_total", "kind"), "terminals forgotten: {{kind}}"),
            ],
            "table-too-old",
        ),
    ],
)

OPERATIONS = Board(
    "assay-operations",
    "Assay / Operations",
    "Is everything moving, how fast, and what goes wrong.",
    [NOW, MOVING, LATENCY, FAULTS, STATE, GATEWAY, CONSOLE],
    by_job=True,
)
