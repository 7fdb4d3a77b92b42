"""Alerts recomputed: what the thresholds on the decisions make of every score. Pure.

A decision record names the model and the thresholds that it used. So every score of that model can be judged again by
any reader of both topics, without the bundle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.verification.verdict import EXAMPLES_MAX, Verdict

Pair = tuple[float, float]
"""Probability and anomaly percentile."""


@dataclass(frozen=True, slots=True)
class _Scored:
    name: str
    offsets: NDArray[np.int64]
    values: NDArray[np.float32]
    """float32[n, 2], as Pair."""
    alert: NDArray[np.bool_]


class Rule:
    """Scores by model, and the thresholds that its decisions name."""

    def __init__(self) -> None:
        self._scored: dict[str, list[_Scored]] = {}
        self._thresholds: dict[str, dict[Pair, str]] = {}

    def add_scores(
        self, name: str, offsets: Sequence[int], models: Sequence[str], values: Sequence[Pair], alert: Sequence[bool]
    ) -> None:
        """Scores of the input partition `name`, by their source offsets."""
        for model in set(models):
            rows = [row for row, of in enumerate(models) if of == model]
            part = _Scored(
                name,
                np.array([offsets[row] for row in rows], np.int64),
                np.array([values[row] for row in rows], np.float32).reshape(-1, 2),
                np.array([alert[row] for row in rows], np.bool_),
            )
            self._scored.setdefault(model, []).append(part)

    def add_thresholds(self, model: str, thresholds: Pair, position: str) -> None:
        """What one decision names; `position`: of its record, for the report."""
        self._thresholds.setdefault(model, {}).setdefault(thresholds, position)

    def judge(self) -> Verdict:
        """misjudged: alerts that the thresholds do not give, and the other way round; unruled: no decision names any."""
        verdict = Verdict()
        for model, parts in self._scored.items():
            named = self._thresholds.get(model, {})
            for position in list(named.values())[1:]:
                verdict.note("misjudged", 1, f"{position}: other thresholds than an earlier decision of {model}")
            if not named:
                verdict.unruled += sum(len(part.offsets) for part in parts)
                continue
            # compared in float32, the precision of the scores
            bounds = np.array(next(iter(named)), np.float32)
            for part in parts:
                wrong = (part.values >= bounds).any(axis=1) != part.alert
                examples = (
                    f"{part.name}@{offset}: the thresholds of {model} say otherwise"
                    for offset in part.offsets[wrong][:EXAMPLES_MAX].tolist()
                )
                verdict.note("misjudged", int(wrong.sum()), *examples)
        return verdict
