"""Operations of what callers and people use: the gateway and the console."""

from deploy.grafana.source.chart import JOBS, Chart, Query, Section
from deploy.grafana.source.queries import quantile, quantiles, rate

CONSOLED = "people use the console"
"""What the console's series wait for."""

GATEWAY = Section(
    "Gateway",
    [
        Chart(
            "Events answered",
            "cps",
            "By outcome: decided, repeated, stand_in (the deadline passed first), problem; given up, or from memory.",
            [
                Query(rate("assay_gateway_events_total", "outcome"), "{{outcome}}"),
                Query(rate("assay_gateway_abandoned_events_total", "job"), "given up"),
                Query(rate("assay_gateway_remembered_events_total", "job"), "from memory"),
            ],
            "gateway",
            "stacked",
        ),
        Chart(
            "From arrival to answer",
            "s",
            "Stand-ins included, at their deadline. Beside it, the scorer's own latency to the committed score is above.",
            quantiles("assay_gateway_answer_seconds"),
            "gateway",
        ),
        Chart(
            "Answers past their deadline",
            "cps",
            "Events answered more than 50 ms after their deadline, counted from when the request came; and in seconds how late "
            "the event loop comes to what is due, 99th percentile: where it is late, requests wait unread.",
            [
                Query(rate("assay_gateway_late_events_total", "job, instance"), "late {{instance}}"),
                Query(quantile(0.99, "assay_gateway_loop_lag_seconds", by="le, instance"), "loop, s {{instance}}"),
            ],
            "gateway",
        ),
        Chart(
            "Where an event's time goes",
            "s",
            "99th percentile. write: to the brokers' acknowledgement. score: to when the scorer writes the answer. commit: its "
            "transaction, and reading it.",
            [Query(quantile(0.99, "assay_gateway_stage_seconds", by="le, stage"), "{{stage}}")],
            "gateway",
        ),
        Chart(
            "Events that wait",
            "short",
            "Events that wait for their score, records of `answers` that are not read yet, and partitions on which events wait "
            "for scores that do not come.",
            [
                Query(f"sum by (job, instance) (assay_gateway_stalled{{{JOBS}}})", "stalled partitions {{instance}}"),
                Query(f"sum by (job, instance) (assay_gateway_pending_events{{{JOBS}}})", "waiting {{instance}}"),
                Query(f"sum by (job, instance) (assay_gateway_answers_lag_records{{{JOBS}}})", "not read {{instance}}"),
            ],
            "gateway",
        ),
        Chart(
            "Responses",
            "cps",
            "HTTP responses a second, by status; events that were not written and connections that were closed, by cause.",
            [
                Query(rate("assay_gateway_responses_total", "status"), "{{status}}"),
                Query(rate("assay_gateway_refused_events_total", "cause"), "not written: {{cause}}"),
                Query(rate("assay_gateway_connections_closed_total", "cause"), "closed: {{cause}}"),
            ],
            "gateway",
        ),
        Chart(
            "Age of the identity provider's keys",
            "s",
            "After a day its tokens are taken no more; 0 without a provider.",
            [Query(f"max by (job, instance) (assay_gateway_oidc_keys_age_seconds{{{JOBS}}})", "{{instance}}")],
            "gateway",
        ),
        Chart(
            "Decisions remembered",
            "short",
            "So many of the last decisions are given again to who repeats their event.",
            [Query(f"sum by (job, instance) (assay_gateway_memory_events{{{JOBS}}})", "{{instance}}")],
            "gateway",
        ),
    ],
)

CONSOLE = Section(
    "Console",
    [
        Chart(
            "Actions of people",
            "cps",
            "Written to `case-actions`, by kind.",
            [Query(rate("assay_console_actions_total", "action"), "{{action}}", quiet=CONSOLED)],
            "console",
            "stacked",
        ),
        Chart(
            "Console: records behind",
            "short",
            "Records that its pages do not show yet, and such as it could not take in, a second.",
            [
                Query(
                    f"max by (job, instance) (assay_console_lag_records{{{JOBS}}})",
                    "behind {{instance}}",
                    quiet=CONSOLED,
                ),
                Query(rate("assay_console_refused_records_total", "job"), "not taken in {{job}}", quiet=CONSOLED),
            ],
            "console",
        ),
        Chart(
            "Responses and open sessions",
            "short",
            "Responses a second, by HTTP status; sessions that are open.",
            [
                Query(rate("assay_console_responses_total", "status"), "{{status}}", quiet=CONSOLED),
                Query(
                    f"sum by (job, instance) (assay_console_sessions{{{JOBS}}})",
                    "sessions {{instance}}",
                    quiet=CONSOLED,
                ),
            ],
            "console",
        ),
        Chart(
            "Logins and refusals",
            "cps",
            "Logins by outcome; requests refused: a role without the right, no token or session, another host name; "
            "connections closed. Not audited: outcomes that the audit trail did not take.",
            [
                Query(rate("assay_console_logins_total", "outcome"), "login {{outcome}}", quiet=CONSOLED),
                Query(rate("assay_console_denied_requests_total", "cause"), "refused: {{cause}}", quiet=CONSOLED),
                Query(rate("assay_console_connections_closed_total", "cause"), "closed: {{cause}}", quiet=CONSOLED),
                Query(rate("assay_console_unaudited_total", "job"), "outcome not audited {{job}}", quiet=CONSOLED),
            ],
            "console",
        ),
    ],
)
