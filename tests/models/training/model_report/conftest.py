"""Two reports to look at: payments with everything there is to tell, and credit applications with the least."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.load import load_bundle
from models.scoring.session import ModelSession
from models.training.model_report.inputs import CREDIT, FRAUD, ReportInput, Tested
from schemas.evaluation import Estimate, Evaluation, Group, ModelFigures

ROWS = 1_500
BUNDLE = load_bundle(Path("deploy/bundles/fraud"))


def _figures(average_precision: float) -> dict[str, Estimate]:
    values = {"roc_auc": 0.9, "average_precision": average_precision}
    return {name: Estimate(value=v, low=v - 0.05, high=min(1.0, v + 0.05)) for name, v in values.items()}


EVALUATION = Evaluation(
    intervals="95% intervals: 200 draws.",
    models=(
        ModelFigures(model="classifier", figures=_figures(0.6)),
        ModelFigures(
            model="random forest",
            figures=_figures(0.4),
            difference={"average_precision": Estimate(value=0.2, low=0.1, high=0.3)},
        ),
        ModelFigures(
            model="XGBoost",
            figures=_figures(0.63),
            difference={"average_precision": Estimate(value=-0.03, low=-0.08, high=0.02)},
        ),
    ),
    calibration=(),
    unseen=(Group(name="scenario 2", records=100, positives=10, figures={"recall_combined": 0.4}),),
)


def _rows() -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int8]]:
    """Features drawn from the bundle's own histograms; frauds are of large amounts, of two kinds."""
    random = np.random.default_rng(0)
    columns = []
    for histogram in BUNDLE.reference.features:
        counts, edges = np.array(histogram.counts, np.float64), np.array(histogram.edges)
        bins = random.choice(len(counts), ROWS, p=counts / counts.sum())
        columns.append(random.uniform(edges[bins], edges[bins + 1]))
    features = np.stack(columns, axis=1).astype(np.float32)
    scenario = np.where(random.random(ROWS) < 0.06, random.integers(1, 3, ROWS), 0).astype(np.int8)
    amounts = [place for place, name in enumerate(BUNDLE.manifest.feature_spec.names) if "amount" in name]
    features[np.ix_(scenario == 1, amounts)] *= 6
    return features, scenario > 0, scenario


@pytest.fixture(scope="session")
def fraud() -> ReportInput:
    """Days, cards, scenarios, latent means, other models."""
    features, truth, scenario = _rows()
    random = np.random.default_rng(1)
    session, spec = ModelSession(BUNDLE, "cpu"), BUNDLE.manifest.feature_spec
    return ReportInput(
        manifest=BUNDLE.manifest.model_copy(update={"evaluation": EVALUATION}),
        reference=BUNDLE.reference,
        descriptions=spec.descriptions,
        run=session.run,
        test=Tested(
            truth=truth,
            features=features,
            scores=session.run(features),
            latent=(random.normal(size=(ROWS, 6)) + truth[:, None]).astype(np.float32),
            day=np.sort(random.integers(40, 47, ROWS)),
            scenario=scenario,
            card=random.integers(0, 300, ROWS),
        ),
        words=FRAUD,
        graph_digest="ab" * 32,
        scenarios={1: "large amount", 2: "compromised <terminal>"},
        value_words=lambda feature, value: spec.features[feature].value_words(value),
    )


@pytest.fixture(scope="session")
def credit(fraud: ReportInput) -> ReportInput:
    """No day, card, scenario, latent mean or other model."""
    bare = replace(fraud.test, latent=None, day=None, scenario=None, card=None)
    manifest = fraud.manifest.model_copy(update={"product": "credit", "name": "credit", "evaluation": None})
    return replace(fraud, manifest=manifest, test=bare, words=CREDIT)


@pytest.fixture(scope="session")
def page(fraud: ReportInput, credit: ReportInput) -> Callable[[str], bytes]:
    """The page of `fraud` or `credit`, made once."""
    from models.training.model_report.page import model_report

    made = {"fraud": model_report(fraud), "credit": model_report(credit)}
    return made.__getitem__
