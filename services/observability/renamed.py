"""Metrics under the names that they had in the version before, for one version: users' dashboards and rules keep working."""

from collections.abc import Iterable

from prometheus_client import Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

RENAMED = {"assay_partition_paused": "assay_partition_held"}
"""Name in 0.1 -> name now. They go with 0.3."""


class RenamedGauge(Collector):
    """Shows a gauge a second time, under its old name, with a help text that names the new one."""

    def __init__(self, gauge: Gauge, registry: CollectorRegistry) -> None:
        (name,) = [metric.name for metric in gauge.describe()]
        (self._old,) = [old for old, now in RENAMED.items() if now == name]
        self._gauge = gauge
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """The gauge's samples, renamed."""
        for metric in self._gauge.collect():
            found = GaugeMetricFamily(self._old, f"Deprecated: use {metric.name}.")
            for sample in metric.samples:
                found.add_sample(self._old, sample.labels, sample.value)
            yield found
