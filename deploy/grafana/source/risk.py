"""Risk: how much is alerted, why, and whether it was right."""

from deploy.grafana.source.chart import Board, Chart, Query, Section
from deploy.grafana.source.queries import not_of_credit

ALERTS = Section(
    "Alerts",
    [
        Chart(
            "Alert rate",
            "percentunit",
            "Alerts a score, and the share that the active bundle was made for.",
            [
                Query(
                    "sum(rate(assay_alerts_total[$__rate_interval])) / sum(rate(assay_scores_total[$__rate_interval]))",
                    "alert rate",
                ),
                Query("max by (bundle) (assay_alert_budget_share)", "budget of {{bundle}}"),
            ],
            "alert-budget-exceeded",
        ),
        Chart(
            "Alerts by trigger",
            "cps",
            "Which threshold was crossed; an alert that crossed both counts for both.",
            [Query("sum by (trigger) (rate(assay_alert_triggers_total[$__rate_interval]))", "{{trigger}}")],
            "alert-budget-exceeded",
            "stacked",
        ),
        Chart(
            "Alerts without reasons",
            "cps",
            "Alerts of a storm a second, beyond those of a minute that are given reasons.",
            [
                Query(
                    "sum(rate(assay_alerts_without_reasons_total[$__rate_interval]))",
                    "without reasons",
                    quiet="there is a storm",
                )
            ],
            "alert-budget-exceeded",
        ),
        Chart(
            "Alerts by reason",
            "short",
            "How often each feature was the strongest reason of an alert, within the time shown.",
            [Query("sort_desc(sum by (feature) (increase(assay_alert_reasons_total[$__range])))", "{{feature}}")],
            "alert-budget-exceeded",
            "bars",
        ),
        Chart(
            "Dead letters beside scores",
            "percentunit",
            "Share of the records that could not be scored.",
            [
                Query(
                    'sum(rate(assay_dead_letters_total{job="assay-scorer"}[$__rate_interval]))'
                    ' / sum(rate(assay_records_total{job="assay-scorer"}[$__rate_interval]))',
                    "dead letters",
                )
            ],
            "dead-letters",
        ),
    ],
)

POLICY = Section(
    "Policy",
    [
        Chart(
            "Actions",
            "cps",
            "Payments a second by what the policy says is to be done.",
            [
                Query(
                    "sum by (action) (rate(assay_actions_total[$__rate_interval]))",
                    "{{action}}",
                    quiet="there is a policy",
                )
            ],
            "policy",
            "stacked",
        ),
        Chart(
            "Rules that hold",
            "short",
            "Payments of which each rule holds, within the time shown; those in shadow have no effect.",
            [
                Query(
                    f"sort_desc(sum by (rule, state) {not_of_credit('increase(assay_rule_hits_total[$__range])')})",
                    "{{rule}} ({{state}})",
                    quiet="a rule holds",
                )
            ],
            "policy",
            "bars",
        ),
        Chart(
            "Precision of rules",
            "percentunit",
            "Of the payments of which a rule holds the share that labels found to be fraud. Young ones have few labels yet.",
            [
                Query(
                    "max by (rule, state, age_days) (assay_rule_precision)",
                    "{{rule}} ({{state}}), {{age_days}} days",
                    quiet="payments of which a rule holds have labels",
                )
            ],
            "rules-of-no-use",
        ),
        Chart(
            "Budget of the day",
            "short",
            "What each policy line has used of its budget today, by the payments' own time, and what it may use.",
            [
                Query("max by (line) (assay_budget_used)", "{{line}} used", quiet="a policy has a budget"),
                Query("max by (line) (assay_budget_per_day)", "{{line}} a day", quiet="a policy has a budget"),
            ],
            "budget-of-a-policy",
        ),
        Chart(
            "Thresholds between their bounds",
            "percentunit",
            "0: as mild as the budget's bounds allow; 1: as strict.",
            [Query("max by (line) (assay_budget_strictness)", "{{line}}", quiet="a policy has a budget")],
            "budget-of-a-policy",
        ),
        Chart(
            "Thresholds that the budget has put",
            "none",
            "Where the monitor's last command put each threshold: a probability up to 1, a percentile up to 100.",
            [
                Query(
                    "max by (line, score) (assay_budget_threshold)", "{{line}} {{score}}", quiet="a policy has a budget"
                )
            ],
            "budget-of-a-policy",
        ),
        Chart(
            "Moves of the thresholds",
            "none",
            "Commands of the monitor within the time shown. None while a budget is spent unevenly: does it run?",
            [
                Query(
                    "sum by (line) (increase(assay_budget_moves_total[$__range]))",
                    "{{line}}",
                    quiet="a policy has a budget",
                )
            ],
            "budget-of-a-policy",
            "bars",
        ),
        Chart(
            "Policies",
            "none",
            "Processes by the policy that decides in them, and by the one in shadow.",
            [
                Query(
                    f"count by (policy, channel) {not_of_credit('assay_policy')}",
                    "{{policy}} {{channel}}",
                    quiet="there is a policy",
                )
            ],
            "policy",
        ),
        Chart(
            "List entries",
            "short",
            "Entries of all lists that rules may ask, as a process holds them.",
            [Query("max(assay_list_entries)", "entries", quiet="a policy asks lists")],
            "policy",
        ),
        Chart(
            "What the policy in shadow would change",
            "cps",
            "Payments a second of which it says another action.",
            [
                Query(
                    f"sum{not_of_credit('rate(assay_shadow_policy_changes_total[$__rate_interval])')}",
                    "other action",
                    quiet="a policy is in shadow",
                )
            ],
            "policy",
        ),
    ],
)

SCORES = Section(
    "Scores",
    [
        Chart(
            "Probability",
            "percentunit",
            "Scores a second by the classifier's probability of fraud.",
            [Query("sum by (le) (rate(assay_probability_bucket[$__rate_interval]))")],
            "drift",
            "heatmap",
        ),
        Chart(
            "Anomaly percentile",
            "percent",
            "Scores a second by the percentile of the reconstruction error among legitimate payments.",
            [Query("sum by (le) (rate(assay_anomaly_percentile_bucket[$__rate_interval]))")],
            "drift",
            "heatmap",
        ),
    ],
)

CASES = Section(
    "Cases",
    [
        Chart(
            "Open cases", "none", "Cases that wait for an analyst.", [Query("sum(assay_cases_open)")], "cases", "number"
        ),
        Chart(
            "Alerts muted",
            "none",
            "Alerts of muted cards and terminals within the time shown, which made no case.",
            [Query("sum(increase(assay_muted_alerts_total[$__range]))")],
            "cases",
            "number",
        ),
        Chart(
            "Value at risk",
            "short",
            "Amounts alerted within the time shown, in main units, whatever the currency.",
            [Query('sum(increase(assay_amount_total{outcome=~"alert|let_through"}[$__range]))')],
            "cases",
            "number",
        ),
        Chart(
            "Taken in before",
            "none",
            "Alerts that were repeated, and actions that fitted no case, within the time shown. A restart repeats a few.",
            [
                Query("sum(increase(assay_repeated_alerts_total[$__range]))", "alerts"),
                Query("sum(increase(assay_unmatched_case_actions_total[$__range]))", "actions"),
            ],
            "cases",
            "number",
        ),
        Chart(
            "What happens to cases",
            "cps",
            "Changes a second, by kind.",
            [Query("sum by (change) (rate(assay_case_changes_total[$__rate_interval]))", "{{change}}")],
            "cases",
            "stacked",
        ),
        Chart(
            "Webhook",
            "cps",
            "Cases posted to the webhook, by outcome.",
            [
                Query(
                    "sum by (outcome) (rate(assay_webhook_deliveries_total[$__rate_interval]))",
                    "{{outcome}}",
                    quiet="a webhook is set",
                )
            ],
            "cases",
        ),
    ],
)

QUALITY = Section(
    "Was it right?",
    [
        Chart(
            "Precision by age of the payments",
            "percentunit",
            "Of the alerts, the share that labels found to be fraud. Young payments have few labels yet.",
            [
                Query(
                    'max by (model, age_days) (assay_quality{figure="precision"})',
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
        Chart(
            "Recall by age of the payments",
            "percentunit",
            "Of the frauds that labels found, the share that was alerted.",
            [
                Query(
                    'max by (model, age_days) (assay_quality{figure="recall"})',
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
    ],
)

RISK = Board(
    "assay-risk",
    "Assay / Risk",
    "How much is alerted, why, and whether it was right.",
    [ALERTS, POLICY, SCORES, CASES, QUALITY],
)
