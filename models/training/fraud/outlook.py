"""How long the stages of a run take beside each other, for the estimate of what is left."""

from models.training.baselines import ANOMALY_STAGE, BOOK_XGBOOST, FOREST, LOGISTIC, XGBOOST
from models.training.fraud.train import FraudSettings
from models.training.fraud.tuning import FOLDS_MAX, STAGE, Budget

FIT_S = 50.0
"""Of the default classifier on the rows of a default run. All figures are rough, for one core, and none was measured by
itself: a run scales them by what its own stages took."""

COMPARED_S = {FOREST: 240.0, XGBOOST: 150.0, BOOK_XGBOOST: 40.0, LOGISTIC: 10.0, ANOMALY_STAGE: 5.0}
GATE_SHARE = 0.65
"""Of a fit: the gate's fits have so many of the training rows."""


def usual_s(settings: FraudSettings, processes: int | None, tune: Budget | None = None) -> dict[str, float]:
    """Seconds by stage; other data and machines change them all alike, which is all that an estimate needs."""
    beside = min(processes or 2, 2)
    usual = {"features": 40.0, "classifier": FIT_S, "autoencoder": 20.0, "report": 30.0}
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
