"""What the oracle says: how many positions are damaged, and where to look."""

from dataclasses import asdict, dataclass, field
from typing import Any

EXAMPLES_MAX = 10
DAMAGE = ("missing", "duplicate", "out_of_order", "inconsistent", "hanging", "misjudged", "disagreeing")


@dataclass(slots=True)
class Verdict:
    """Counts of inputs, outputs and damage. Clean when every damage count is zero.

    missing: inputs without score or dead letter, or without the answer that they asked for. duplicate: outputs beyond the one
    that an input is due. out_of_order: outputs behind a later one of the same input partition, or on a foreign partition.
    inconsistent: outputs that are not there together (score without its alert, alert without its decision, outputs whose offset
    was not committed, outputs of no input, answers that say another score, metrics that do not add up). hanging: output
    partitions with a transaction that neither commits nor aborts. misjudged: scores whose alert is not what the thresholds on
    the decisions give. disagreeing: output partitions of which a reader at the end sees something else than one that followed
    them.

    The other counts damage nothing: unjudged inputs are those whose outputs the retention has deleted, lag those that the
    group has not committed yet, uncounted those on no scoring metric (yet), unruled scores of a model without a decision,
    former outputs of another log that had the input's name.
    split_subjects of the subjects (cards, applicants) have scores from more than one input partition: each was answered exactly
    once, from a part of its history.
    """

    missing: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    inconsistent: int = 0
    hanging: int = 0
    misjudged: int = 0
    disagreeing: int = 0
    inputs: int = 0
    scores: int = 0
    dead_letters: int = 0
    alerts: int = 0
    decisions: int = 0
    answers: int = 0
    unjudged: int = 0
    lag: int = 0
    uncounted: int = 0
    unruled: int = 0
    former: int = 0
    subjects: int = 0
    split_subjects: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing is damaged."""
        return not any(getattr(self, kind) for kind in DAMAGE)

    def note(self, damage: str, count: int, *positions: str) -> None:
        """Count damage of one kind and keep the first positions as examples."""
        if count:
            setattr(self, damage, getattr(self, damage) + count)
            kept = self.examples.setdefault(damage, [])
            kept.extend(positions[: EXAMPLES_MAX - len(kept)])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
