"""Business: payments and money, in the words of the people who answer for them."""

from deploy.grafana.source.chart import Board, Chart, Kind, Query, Section

OUTCOMES = (
    ("scored", "Amounts scored", "All payments that were scored"),
    ("alert", "Amounts blocked", "Payments with an alert: blocked where you block on alerts"),
    ("let_through", "Amounts let through", "Alerts of the control group, let through so that their labels tell"),
)


def amount(outcome: str, window: str) -> str:
    """Money of one outcome within a window."""
    matcher = "" if outcome == "scored" else f'{{outcome="{outcome}"}}'
    return f"sum(increase(assay_amount_total{matcher}[{window}]))"


def figures(window: str, words: str) -> list[Chart]:
    """One number for each outcome."""
    kind: Kind = "number"
    return [
        Chart(f"{title} {words}", "short", f"{meaning}, in main units, whatever the currency.", [Query(amount(name, window))],
              "amounts", kind)
        for name, title, meaning in OUTCOMES
    ]  # fmt: skip


BUSINESS = Board(
    "assay-business",
    "Assay / Business",
    "Payments and money: scored, blocked, let through.",
    [
        Section(
            "Within the time shown",
            [
                *figures("$__range", "in the time shown"),
                Chart(
                    "Payments scored",
                    "short",
                    "Within the time shown.",
                    [Query("sum(increase(assay_scores_total[$__range]))")],
                    "amounts",
                    "number",
                ),
            ],
        ),
        Section(
            "Over time",
            [
                Chart(
                    "Money, a second",
                    "short",
                    "Amounts by outcome, in main units, whatever the currency.",
                    [Query("sum by (outcome) (rate(assay_amount_total[$__rate_interval]))", "{{outcome}}")],
                    "amounts",
                    "stacked",
                ),
                Chart(
                    "Share of the money blocked",
                    "percentunit",
                    "Amounts alerted of all amounts scored; the control group is apart.",
                    [
                        Query(
                            'sum(rate(assay_amount_total{outcome="alert"}[$__rate_interval]))'
                            " / sum(rate(assay_amount_total[$__rate_interval]))",
                            "blocked",
                        ),
                        Query(
                            'sum(rate(assay_amount_total{outcome="let_through"}[$__rate_interval]))'
                            " / sum(rate(assay_amount_total[$__rate_interval]))",
                            "let through",
                        ),
                    ],
                    "amounts",
                ),
                Chart(
                    "Payments and alerts, a second",
                    "cps",
                    "Scores and alerts committed.",
                    [
                        Query("sum(rate(assay_scores_total[$__rate_interval]))", "payments"),
                        Query("sum(rate(assay_alerts_total[$__rate_interval]))", "alerts"),
                    ],
                    "amounts",
                ),
                Chart(
                    "Mean amount",
                    "short",
                    "Of a payment that is alerted and of one that is not.",
                    [
                        Query(
                            'sum(rate(assay_amount_total{outcome!="pass"}[$__rate_interval]))'
                            " / sum(rate(assay_alerts_total[$__rate_interval]))",
                            "alerted",
                        ),
                        Query(
                            'sum(rate(assay_amount_total{outcome="pass"}[$__rate_interval]))'
                            " / (sum(rate(assay_scores_total[$__rate_interval]))"
                            " - sum(rate(assay_alerts_total[$__rate_interval])))",
                            "passed",
                        ),
                    ],
                    "amounts",
                ),
            ],
        ),
    ],
)
