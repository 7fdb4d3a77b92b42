"""Models: which one scores where, and whether the world still looks as it did in training."""

from deploy.grafana.source.chart import Board, Chart, Query, Section

VERSIONS = Section(
    "Active",
    [
        Chart(
            "Active version",
            "none",
            "Bundle and execution provider of each process. Two at once for long is a swap that got stuck.",
            [
                Query(
                    "max by (bundle, provider, instance) (assay_model_info == 1)",
                    "{{instance}}: {{bundle}} on {{provider}}",
                )
            ],
            "model-versions-differ",
            "states",
        ),
        Chart(
            "Challenger",
            "none",
            "Bundle that scores beside the active one.",
            [
                Query(
                    "max by (bundle, provider, instance) (assay_challenger_info == 1)",
                    "{{instance}}: {{bundle}}",
                    quiet="a challenger is published",
                )
            ],
            "model-versions-differ",
            "states",
        ),
        Chart(
            "Changes of model",
            "short",
            "Swapped, rolled back, challengers that came and went, within the time shown.",
            [Query("sum by (kind) (increase(assay_swaps_total[$__range]))", "{{kind}}")],
            "model-versions-differ",
            "bars",
        ),
        Chart(
            "Bundles refused",
            "short",
            "While running, by reason, within the time shown. The old model keeps scoring.",
            [Query("sum by (reason) (increase(assay_bundles_refused_total[$__range]))", "{{reason}}")],
            "bundle-refused",
            "bars",
        ),
        Chart(
            "Unsigned bundles allowed",
            "none",
            "Processes that take a bundle without a signature. None in production.",
            [Query("sum(assay_unsigned_bundles_allowed)")],
            "bundle-refused",
            "number",
        ),
        Chart(
            "Scorers that seal decisions",
            "none",
            "Processes whose decision records are sealed per subject: all of them or none; else settings differ.",
            [Query("sum(assay_decisions_sealed)")],
            "model-versions-differ",
            "number",
        ),
        Chart(
            "Challenger failures",
            "none",
            "Batches within the time shown that the challenger could not score.",
            [Query("sum(increase(assay_challenger_failures_total[$__range]))")],
            "model-versions-differ",
            "number",
        ),
    ],
)

COMPARED = Section(
    "Champion against challenger",
    [
        Chart(
            "Alert rate by model",
            "percentunit",
            "Alerts a score in the newest window of each model.",
            [Query("max by (model) (assay_alert_rate)", "{{model}}", quiet="a drift window is full")],
            "model-versions-differ",
        ),
        Chart(
            "Agreement",
            "percentunit",
            "Of the payments that champion or challenger alerted, those that both did.",
            [
                Query(
                    "max by (model, challenger) (assay_challenger_agreement)",
                    "{{model}} and {{challenger}}",
                    quiet="a challenger scores",
                )
            ],
            "model-versions-differ",
        ),
        Chart(
            "Average precision by model",
            "percentunit",
            "On labelled payments of each age: the better model has the higher line.",
            [
                Query(
                    'max by (model, age_days) (assay_quality{figure="average_precision"})',
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
    ],
)

DRIFT = Section(
    "Drift",
    [
        Chart(
            "Population stability index",
            "none",
            "Of each feature and score against the bundle's reference, the ten largest. Above 0.2 something has changed.",
            [
                Query(
                    "topk(10, max by (model, name) (assay_drift_psi))",
                    "{{name}} {{model}}",
                    quiet="a drift window is full",
                )
            ],
            "drift",
            "bars",
        ),
        Chart(
            "Kolmogorov-Smirnov distance",
            "percentunit",
            "Of each feature and score against the bundle's reference, the ten largest.",
            [
                Query(
                    "topk(10, max by (model, name) (assay_drift_ks))",
                    "{{name}} {{model}}",
                    quiet="a drift window is full",
                )
            ],
            "drift",
            "bars",
        ),
        Chart(
            "Drifted distributions",
            "none",
            "How many features and scores are above the limit in the newest window.",
            [Query("max by (model) (assay_drifted_distributions)", "{{model}}", quiet="a drift window is full")],
            "drift",
        ),
        Chart(
            "Windows looked at",
            "cps",
            "Windows reported, by whether anything drifted, and the sums that they are made of.",
            [
                Query(
                    "sum by (drifted) (rate(assay_drift_windows_total[$__rate_interval]))",
                    "windows, drifted: {{drifted}}",
                    quiet="a drift window is full",
                ),
                Query("sum(rate(assay_partial_sums_total[$__rate_interval]))", "sums"),
                Query("sum(rate(assay_unreferenced_sums_total[$__rate_interval]))", "sums of unknown models"),
            ],
            "drift",
        ),
    ],
)

CALIBRATION = Section(
    "Calibration",
    [
        Chart(
            "Calibration error",
            "percentunit",
            "Mean distance between predicted probability and observed share of fraud, by age of the payments.",
            [
                Query(
                    'max by (model, age_days) (assay_quality{figure="calibration_error"})',
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
        Chart(
            "Brier score",
            "none",
            "Mean squared error of the probability, by age of the payments. Lower is better.",
            [
                Query(
                    'max by (model, age_days) (assay_quality{figure="brier"})',
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
        Chart(
            "Area under the ROC curve",
            "percentunit",
            "Of the probability, by age of the payments.",
            [
                Query(
                    'max by (model, age_days) (assay_quality{figure="roc_auc"})',
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
        Chart(
            "Fraud among what was passed",
            "percentunit",
            "Frauds among the payments that raised no alert, by age.",
            [
                Query(
                    'max by (model, age_days) (assay_quality{figure="passed_bad_rate"})',
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
        Chart(
            "Payments with a label",
            "short",
            "Recorded payments of each age whose label is known: figures of few say little.",
            [
                Query(
                    "max by (model, age_days) (assay_labelled_payments)",
                    "{{model}} {{age_days}} days",
                    quiet="labels arrive",
                )
            ],
            "quality",
        ),
        Chart(
            "Payments remembered for their labels",
            "short",
            "And those that made room for newer ones before their label could come: raise ASSAY_MONITOR_LEDGER_MAX.",
            [
                Query("sum(assay_ledger_payments)", "remembered"),
                Query("sum(increase(assay_forgotten_ledger_payments_total[$__rate_interval]))", "forgotten early"),
            ],
            "quality",
        ),
    ],
)

MODELS = Board(
    "assay-models",
    "Assay / Models",
    "Which model scores where, and whether the world still looks as it did in training.",
    [VERSIONS, COMPARED, DRIFT, CALIBRATION],
)
