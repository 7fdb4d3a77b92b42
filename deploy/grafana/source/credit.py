"""Credit: what is decided about applications, by which model and policy, and whether it still holds."""

from deploy.grafana.source.chart import Board, Chart, Query, Section
from deploy.grafana.source.queries import of_credit

OUTCOMES = "rate(assay_credit_outcomes_total[$__rate_interval])"
WINDOW = "a drift window of credit is full"
LABELS = "loans have labels"
CHALLENGED = "a challenger of credit scores"


def latency(share: float) -> str:
    """A quantile of the time from an application to its committed decision."""
    buckets = of_credit("rate(assay_commit_latency_seconds_bucket[$__rate_interval])")
    return f"histogram_quantile({share}, sum by (le) {buckets})"


def delayed(title: str, unit: str, description: str, figure: str) -> Chart:
    """One figure of the delayed performance, by age."""
    expr = f'max by (model, age_days) (assay_credit_quality{{figure="{figure}"}})'
    return Chart(
        title, unit, description, [Query(expr, "{{model}} {{age_days}} days", quiet=LABELS)], "credit-performance"
    )


DECISIONS = Section(
    "Decisions",
    [
        Chart(
            "Applications by outcome",
            "cps",
            "Decisions committed: approve, refer (a person looks), decline.",
            [Query(f"sum by (outcome) ({OUTCOMES})", "{{outcome}}")],
            "credit-outcomes",
            "stacked",
        ),
        Chart(
            "Share of each outcome",
            "percentunit",
            "Of all decisions.",
            [Query(f"sum by (outcome) ({OUTCOMES}) / on () group_left () sum({OUTCOMES})", "{{outcome}}")],
            "credit-outcomes",
        ),
        Chart(
            "From application to decision",
            "s",
            "From the input record's timestamp to its committed decision, reasons included.",
            [Query(latency(share), name) for share, name in ((0.5, "p50"), (0.99, "p99"))],
            "lag-grows",
        ),
        Chart(
            "Applications that wait",
            "short",
            "Records in the partition that are not yet committed.",
            [Query(f"sum by (partition) {of_credit('assay_lag_records')}", "{{partition}}")],
            "lag-grows",
        ),
        Chart(
            "Applications refused",
            "cps",
            "Dead letters by reason: what could not be read, lacks an attribute, or came twice.",
            [
                Query(
                    f"sum by (reason) {of_credit('rate(assay_dead_letters_total[$__rate_interval])')}",
                    "{{reason}}",
                )
            ],
            "dead-letters",
            "stacked",
        ),
    ],
)

ACTIVE = Section(
    "Model and policy",
    [
        Chart(
            "Active bundle",
            "none",
            "Bundle and execution provider of each process that judges applications.",
            [
                Query(
                    f"max by (bundle, provider, instance) {of_credit('assay_model_info == 1')}",
                    "{{instance}}: {{bundle}} on {{provider}}",
                )
            ],
            "model-versions-differ",
            "states",
        ),
        Chart(
            "Challenger",
            "none",
            "What scores beside it without effect, in each process.",
            [
                Query(
                    f"max by (bundle, provider, instance) {of_credit('assay_challenger_info == 1')}",
                    "{{instance}}: {{bundle}} on {{provider}}",
                    quiet=CHALLENGED,
                )
            ],
            "model-versions-differ",
            "states",
        ),
        Chart(
            "Changes of model",
            "short",
            "Swapped, rolled back, challengers that came and went, within the time shown.",
            [Query(f"sum by (kind) {of_credit('increase(assay_swaps_total[$__range])')}", "{{kind}}")],
            "model-versions-differ",
            "bars",
        ),
        Chart(
            "Bundles and policies refused",
            "short",
            "While running, by reason, within the time shown. What decided before goes on deciding.",
            [Query(f"sum by (reason) {of_credit('increase(assay_bundles_refused_total[$__range])')}", "{{reason}}")],
            "bundle-refused",
            "bars",
        ),
        Chart(
            "Policies",
            "none",
            "Processes by the policy that decides in them, and by the one in shadow.",
            [
                Query(
                    f"count by (policy, channel) {of_credit('assay_policy')}",
                    "{{policy}} {{channel}}",
                    quiet="credit has a policy",
                )
            ],
            "policy",
            "states",
        ),
        Chart(
            "Rules that hold",
            "short",
            "Applications of which each rule holds, within the time shown; those in shadow have no effect.",
            [
                Query(
                    f"sort_desc(sum by (rule, state) {of_credit('increase(assay_rule_hits_total[$__range])')})",
                    "{{rule}} ({{state}})",
                    quiet="credit has a policy",
                )
            ],
            "rules-of-no-use",
            "bars",
        ),
        Chart(
            "What the policy in shadow would change",
            "cps",
            "Applications a second of which it says another outcome.",
            [
                Query(
                    f"sum{of_credit('rate(assay_shadow_policy_changes_total[$__rate_interval])')}",
                    "changed",
                    quiet="credit has a policy",
                )
            ],
            "policy",
        ),
    ],
)

DRIFT = Section(
    "Drift",
    [
        Chart(
            "Population stability index",
            "none",
            "Of each feature and score of those who apply against the bundle's reference, the ten largest. Drifted above 0.25.",
            [
                Query(
                    "topk(10, max by (model, name) (assay_credit_drift_psi))",
                    "{{name}} {{model}}",
                    quiet=WINDOW,
                )
            ],
            "credit-drift",
            "bars",
        ),
        Chart(
            "Kolmogorov-Smirnov distance",
            "percentunit",
            "Of each feature and score against the bundle's reference, the ten largest.",
            [
                Query(
                    "topk(10, max by (model, name) (assay_credit_drift_ks))",
                    "{{name}} {{model}}",
                    quiet=WINDOW,
                )
            ],
            "credit-drift",
            "bars",
        ),
        Chart(
            "Drifted distributions",
            "none",
            "How many features and scores are above the limit in the newest window.",
            [Query("max by (model) (assay_credit_drifted_distributions)", "{{model}}", quiet=WINDOW)],
            "credit-drift",
        ),
        Chart(
            "Not approved, by window",
            "percentunit",
            "Applications declined or referred, of those of the newest window.",
            [Query("max by (model) (assay_credit_alert_rate)", "{{model}}", quiet=WINDOW)],
            "credit-outcomes",
        ),
        Chart(
            "Agreement with the challenger",
            "percentunit",
            "Of the applications that champion or challenger did not approve, those that neither approved.",
            [
                Query(
                    "max by (model, challenger) (assay_credit_challenger_agreement)",
                    "{{model}} and {{challenger}}",
                    quiet=CHALLENGED,
                )
            ],
            "model-versions-differ",
        ),
        Chart(
            "Windows looked at",
            "cps",
            "Windows reported, by whether anything drifted, and the sums that they are made of.",
            [
                Query(
                    "sum by (drifted) (rate(assay_credit_drift_windows_total[$__rate_interval]))",
                    "windows, drifted: {{drifted}}",
                    quiet=WINDOW,
                ),
                Query("sum(rate(assay_credit_partial_sums_total[$__rate_interval]))", "sums"),
                Query("sum(rate(assay_credit_unreferenced_sums_total[$__rate_interval]))", "sums not compared"),
            ],
            "credit-drift",
        ),
    ],
)

PERFORMANCE = Section(
    "Delayed performance",
    [
        delayed(
            "Defaults among those approved",
            "percentunit",
            "Of the applications approved whose loans have a label, by age. Young ages have mostly defaults, which come first.",
            "passed_bad_rate",
        ),
        delayed(
            "Defaults among those not approved",
            "percentunit",
            "Of the applications referred or declined that were granted nevertheless and have a label, by age.",
            "precision",
        ),
        delayed("Area under the ROC curve", "percentunit", "Of the probability of default, by age.", "roc_auc"),
        delayed("Average precision", "percentunit", "Of the probability of default, by age.", "average_precision"),
        delayed(
            "Calibration error",
            "percentunit",
            "Mean distance between predicted probability and observed share of defaults, by age.",
            "calibration_error",
        ),
        delayed("Brier score", "none", "Mean squared error of the probability, by age. Lower is better.", "brier"),
        Chart(
            "Loans with a label",
            "short",
            "Recorded applications of each age whose label is known: figures of few say little.",
            [
                Query(
                    "max by (model, age_days) (assay_credit_labelled_applications)",
                    "{{model}} {{age_days}} days",
                    quiet=LABELS,
                )
            ],
            "credit-performance",
        ),
        Chart(
            "Defaults by rule",
            "percentunit",
            "Of labelled applications of which a rule holds the share of defaults: a rule in shadow shows its worth.",
            [
                Query(
                    "max by (rule, state, age_days) (assay_credit_rule_precision)",
                    "{{rule}} ({{state}}), {{age_days}} days",
                    quiet="loans of which a rule holds have labels",
                )
            ],
            "rules-of-no-use",
        ),
        Chart(
            "Applications remembered for their labels",
            "short",
            "And those that made room for newer ones before their label could come: raise ASSAY_CREDIT_MONITOR_LEDGER_MAX.",
            [
                Query("sum(assay_credit_ledger_applications)", "remembered"),
                Query(
                    "sum(increase(assay_credit_forgotten_ledger_applications_total[$__rate_interval]))",
                    "forgotten early",
                ),
            ],
            "credit-performance",
        ),
    ],
)

CREDIT = Board(
    "assay-credit",
    "Assay / Credit",
    "What is decided about applications, by which model and policy, and whether it still holds.",
    [DECISIONS, ACTIVE, DRIFT, PERFORMANCE],
)
