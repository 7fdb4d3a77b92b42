"""How long the stages of a run take beside each other, for the estimate of what is left."""

from models.training.baselines import ANOMALY_STAGE, BOOK_XGBOOST, FOREST_PARTS, LOGISTIC, XGBOOST
from models.training.fraud.train import FraudSettings
from models.training.fraud.tuning import FOLDS_MAX, STAGE, Budget

FIT_S = 45.0
"""Of the default classifier on the rows of a default run; all figures as one such run had them, each stage on one core. A run
scales them by what its own stages took."""

COMPARED_S = {
    **dict.fromkeys(FOREST_PARTS, 215.0),
    XGBOOST: 175.0,
    BOOK_XGBOOST: 4.0,
    LOGISTIC: 3.0,
    ANOMALY_STAGE: 4.0,
}
GATE_SHARE = 0.5
"""Of a fit: the gate's fits have so many of the training rows."""


def usual_s(settings: FraudSettings, processes: int | None, tune: Budget | None = None) -> dict[str, float]:
    """Seconds by stage; other data and machines change them all alike, which is all that an estimate needs."""
    beside = min(processes or 2, 2)
    usual = {"features": 4.0, "classifier": FIT_S, "autoencoder": 25.0, "report": 4.0}
    if settings.gan is not None:
        usual["gate's generator"] = 30.0
        fits = range(1, 1 + 2 * settings.gan.gate.seeds)
        usual |= {f"gate's fit {number}": FIT_S * GATE_SHARE / beside for number in fits}
    if settings.compared:
        usual |= {name: seconds / beside for name, seconds in COMPARED_S.items()}
        usual |= {f"without scenario {scenario}": FIT_S / beside for scenario in (2, 3)}
    if tune is not None:
        usual[STAGE] = tune.seconds or tune.trials * FOLDS_MAX * FIT_S * GATE_SHARE
    return usual
