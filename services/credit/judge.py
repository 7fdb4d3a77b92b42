"""Applications to outcomes, by one model and one policy; a new model that fails is rolled back, and the one before judges."""

import asyncio

import numpy as np

from models.policy.program import Program
from models.scoring.adverse_action import adverse_reasons
from models.scoring.scores import Scores, crossed
from schemas.alert import Reason
from services.clock import monotonic_s
from services.credit.admit import Admitted
from services.credit.emit import Challenged, Judged
from services.credit.ruling import Decided, decide
from services.observability.metrics import Metrics
from services.swapping.live import Model, Models
from services.swapping.running import in_thread, scored, unseen


class Judge:
    """What the partitions of a process judge by."""

    def __init__(self, models: Models, metrics: Metrics) -> None:
        self._models, self._metrics = models, metrics

    async def judge(
        self,
        admitted: Admitted,
        champion: Model,
        deciding: Program | None,
        shadow: Program | None,
        challenger: Model | None = None,
    ) -> Judged:
        """The champion's judgement of applications, of which there are some; and what the challenger says of them."""
        features, started_s = admitted.features, monotonic_s()
        (model, scores), challenged = await asyncio.gather(
            self._scored(champion, admitted), self._challenged(challenger, admitted, deciding)
        )
        started_s = self._metrics.observe_stage("model", started_s)
        bounds, applications = model.identity.thresholds, admitted.applications
        decided, beside = decide(deciding, applications, features, scores, bounds), None
        if shadow is not None:
            try:
                beside = decide(shadow, applications, features, scores, bounds)
            except Exception as error:  # whatever it is, it affects nothing else
                self._models.drop_shadow_policy(shadow, f"it fails with {type(error).__name__}")
        rows, triggers = list(decided.triggers), list(decided.triggers.values())
        reasons: list[tuple[Reason, ...]] = []
        if rows:
            reasons = await in_thread(model, adverse_reasons, model.session, features[rows], triggers)
        self._metrics.observe_stage("reasons", started_s)
        return Judged(admitted, scores, decided, dict(zip(rows, reasons, strict=True)), model, beside, challenged)

    async def _challenged(
        self, challenger: Model | None, admitted: Admitted, deciding: Program | None
    ) -> Challenged | None:
        """None where there is none, or where it fails, which affects nothing else."""
        if challenger is None:
            return None
        identity, applications, features = challenger.identity, admitted.applications, admitted.features

        def said(scores: Scores) -> Challenged:
            decided = decide(deciding, applications, features, scores, identity.thresholds)
            return Challenged(identity.model, scores, decided)

        return await unseen(self._models, challenger, features, said)

    async def _scored(self, champion: Model, admitted: Admitted) -> tuple[Model, Scores]:
        """The model that scored, and what it says."""
        model = champion
        try:
            scores, model_s = await scored(model, admitted.features)
        except Exception as error:  # ONNX Runtime's errors have no common base
            before = self._models.back_from(model, error)
            if before is None:
                raise
            model = before
            scores, model_s = await scored(model, admitted.features)
        by_probability, by_anomaly = crossed(scores, model.identity.thresholds)
        beyond = int(np.count_nonzero(by_probability | by_anomaly))
        self._models.count(model, len(admitted.records), beyond, model_s)
        return model, scores


def refused(decided: Decided) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which applications are not approved."""
    return np.array([outcome != "approve" for outcome in decided.outcomes], np.bool_)
