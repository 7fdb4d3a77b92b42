"""A scorer that no one sees into: no metrics, no log, no traces. The other side of the observability benchmark.

Not a setting of the product: a scorer without metrics is one that no one should run.
"""

from typing import Any

from prometheus_client import CollectorRegistry

from services.clock import monotonic_s
from services.engine.process import main
from services.observability.metrics import Metrics
from services.scorer import __main__ as scorer
from services.scorer import processor


class Nothing:
    """Takes every call and does nothing."""

    def __getattr__(self, name: str) -> "Nothing":
        return self

    def __call__(self, *arguments: Any, **named: Any) -> "Nothing":
        """The same again."""
        return self


NOTHING = Nothing()


class BlindMetrics(Metrics):
    """Every metric is nothing."""

    def __init__(self) -> None:
        self._by_topic = False
        self.registry = CollectorRegistry()

    def __getattr__(self, name: str) -> Nothing:
        return NOTHING

    def observe_stage(self, stage: str, started_s: float) -> float:
        """The time, since the caller goes on from it."""
        return monotonic_s()

    def show_partition(self, label: str) -> None:
        """Nothing is shown."""

    def forget_partition(self, label: str) -> None:
        """Nothing is forgotten."""


if __name__ == "__main__":
    scorer.Metrics = BlindMetrics  # type: ignore[misc, assignment, attr-defined]
    processor.show = NOTHING  # type: ignore[assignment, attr-defined]
    main(scorer.start)
