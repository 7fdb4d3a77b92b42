"""A classic Prometheus histogram that is fed arrays. Native histograms are not what the Python client writes."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.core import Exemplar, HistogramMetricFamily
from prometheus_client.registry import Collector

from services.clock import wall_ms


class BulkHistogram(Collector):
    """A classic histogram that takes a whole array at once: one call a batch, not one a record."""

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Iterable[float],
        registry: CollectorRegistry,
        label: str | None = None,
    ) -> None:
        self.name, self.documentation, self.label = name, documentation, label
        self._bounds = tuple(buckets)
        self._edges = np.asarray(self._bounds)
        self._series: dict[str, tuple[NDArray[np.int64], list[float]]] = {}
        """By label: how many values are at or below each bound, and all of them; and their sum."""
        self._exemplars: dict[tuple[str, int], Exemplar] = {}
        registry.register(self)

    def observe(
        self, values: NDArray[Any] | float, label: str = "", exemplar: tuple[Mapping[str, str], float] | None = None
    ) -> None:
        """Count values into their buckets. exemplar: labels that say where one of them came from, and that value."""
        counts, total = self._series.setdefault(label, (np.zeros(len(self._edges) + 1, np.int64), [0.0]))
        if isinstance(values, float):
            counts[bisect_left(self._bounds, values) :] += 1
            total[0] += values
        else:
            # to sort 2,000 values and look for 16 edges in them takes a third of looking for 2,000 values among the edges
            counts[:-1] += np.sort(values).searchsorted(self._edges, side="right")
            counts[-1] += len(values)
            total[0] += float(values.sum(dtype=np.float64))
        if exemplar is not None:
            labels, value = exemplar
            place = bisect_left(self._bounds, value)
            self._exemplars[label, place] = Exemplar(dict(labels), value, wall_ms() / 1000)

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Name and help, before any value."""
        yield HistogramMetricFamily(self.name, self.documentation)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The Prometheus form."""
        family = HistogramMetricFamily(self.name, self.documentation, labels=[self.label] if self.label else [])
        for label, (counts, total) in list(self._series.items()):
            upper = [*(str(edge) for edge in self._edges), "+Inf"]
            buckets: list[Any] = [
                (edge, count, self._exemplars.get((label, place)))
                for place, (edge, count) in enumerate(zip(upper, counts.tolist(), strict=True))
            ]
            family.add_metric([label] if self.label else [], buckets, total[0])
        yield family
