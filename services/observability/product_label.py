"""The label `product` on every metric of a process that works for a product of a name."""

import copy
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric


class ProductRegistry(CollectorRegistry):
    """What another registry shows, with the label."""

    def __init__(self, inner: CollectorRegistry, product: str) -> None:
        super().__init__()
        self._inner, self._product = inner, product

    def collect(self) -> Iterable[Metric]:
        """Each metric, its samples labelled."""
        for metric in self._inner.collect():
            labelled = copy.copy(metric)
            labelled.samples = [
                sample._replace(labels={**sample.labels, "product": self._product}) for sample in metric.samples
            ]
            yield labelled


def with_product(registry: CollectorRegistry, product: str | None) -> CollectorRegistry:
    """The registry itself where the product has no name."""
    return registry if product is None else ProductRegistry(registry, product)
