"""Queries of several dashboards: rates of counters, quantiles of histograms."""

from deploy.grafana.source.chart import JOBS, Query


def rate(metric: str, by: str) -> str:
    """Sum of a counter's increase a second."""
    return f"sum by ({by}) (rate({metric}{{{JOBS}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, matcher: str = JOBS, by: str = "le") -> str:
    """A quantile of a classic histogram."""
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}_bucket{{{matcher}}}[$__rate_interval])))"


def quantiles(histogram: str, matcher: str = JOBS) -> list[Query]:
    """The three that are looked at."""
    named = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
    return [Query(quantile(share, histogram, matcher), name) for share, name in named]


def of_credit(vector: str) -> str:
    """Those series that processes of the credit service show, whatever their jobs are called."""
    return f"({vector} and on (job, instance) assay_credit_outcomes_total)"


def not_of_credit(vector: str) -> str:
    """Those of every other process."""
    return f"({vector} unless on (job, instance) assay_credit_outcomes_total)"
