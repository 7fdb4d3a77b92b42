"""How a demo ended."""

from dataclasses import dataclass
from typing import Any

from services.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """Latencies are committed end to end: from the moment a payment was due to its score in a read_committed consumer.

    sent, bad_sent: what the simulator says. restarts: of scorers that were killed. model: name/version@provider.
    """

    verdict: Verdict
    sent: int
    bad_sent: int
    records_per_s: float
    latency_ms_p50: int | None
    latency_ms_p99: int | None
    model: str
    restarts: int

    @property
    def scored(self) -> int:
        """Payments scored."""
        return self.verdict.scores

    @property
    def alerts(self) -> int:
        """Alerts raised."""
        return self.verdict.alerts

    @property
    def dead_letters(self) -> int:
        """Payments refused."""
        return self.verdict.dead_letters

    @property
    def good(self) -> bool:
        """Whether every payment sent was answered exactly once, and some with a score."""
        return self.verdict.clean and self.scored > 0 and self.verdict.inputs == self.sent

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        verdict = self.verdict
        return {
            "scored": self.scored,
            "alerts": self.alerts,
            "dead_letters": self.dead_letters,
            "missing": verdict.missing,
            "duplicate": verdict.duplicate,
            "out_of_order": verdict.out_of_order,
            "inconsistent": verdict.inconsistent,
            "torn": verdict.inconsistent,  # its name until 0.1; it goes with 0.3
            "hanging": verdict.hanging,
            "records_per_s": round(self.records_per_s, 1),
            "latency_ms_p50": self.latency_ms_p50,
            "latency_ms_p99": self.latency_ms_p99,
            "provider": self.model.rpartition("@")[2],
            "model": self.model,
            "sent": self.sent,
            "bad_sent": self.bad_sent,
            "restarts": self.restarts,
            "examples": verdict.examples,
        }
