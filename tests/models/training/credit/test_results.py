"""The page of credit results: generated, current, and honest about what falls short."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle.load import load_bundle
from models.features.spec_file import parse_spec
from models.training.credit.data import dataset
from models.training.credit.evaluation import REFERENCE, RESULTS, WIDE, CreditResults, ModelResult, evaluate_credit
from models.training.credit.page import results_page
from schemas.evaluation import Estimate

pytestmark = pytest.mark.train

COMMITTED = load_bundle(Path("deploy/bundles/credit")).manifest


def test_the_committed_page_is_that_of_the_committed_figures_and_bundle() -> None:
    """Generated, never typed."""
    results = RESULTS.validate_json(Path("docs/results-credit.json").read_bytes())
    assert Path("docs/results-credit.md").read_text(encoding="utf-8") == results_page(results, COMMITTED)


@pytest.mark.parametrize(("auc", "verdict"), [(0.80, "**misses**"), (0.81, "meets")])
def test_what_falls_short_of_the_published_network_is_printed_as_such(auc: float, verdict: str) -> None:
    """The published network has 0.805 on German credit."""
    estimate, nothing = Estimate(value=auc, low=auc - 0.02, high=auc + 0.02), Estimate(value=0.0, low=-0.1, high=0.1)
    models = tuple(ModelResult(name, estimate, nothing, (auc,)) for name in (REFERENCE, WIDE))
    page = results_page({"german": CreditResults("german", 1000, 0.3, 24, 10, 1, {"savings": 10}, models)}, COMMITTED)
    assert f"on the parts held out it {verdict} the published neural network's 0.805 ({auc:.3f})" in page


def test_every_model_is_measured_on_the_same_rows_with_paired_intervals() -> None:
    """On a small data set in which one input says nearly everything."""
    random = np.random.default_rng(0)
    names = [f"f{number}" for number in range(10)]
    features = [
        f"{{name: {name}, kind: number, attribute: {name}, protected: {name == 'f9'}}}".lower() for name in names
    ]
    spec = parse_spec(f"{{version: 1, features: [{', '.join(features)}]}}")
    rows = random.normal(size=(400, 10)).astype(np.float32)
    found = evaluate_credit("small", spec, dataset(rows, rows[:, 0] + 0.5 * random.normal(size=400) > 0), 2, 1, seed=1)
    assert found.chosen["f0"] == 2
    assert "f9" not in found.chosen
    for model in found.models:
        assert model.cross_validated.low <= model.cross_validated.value <= model.cross_validated.high
        assert model.cross_validated.value > 0.8
        assert len(model.holdouts) == 1
    assert found.models[0].model == REFERENCE
    assert found.models[0].less_reference == Estimate(value=0.0, low=0.0, high=0.0)
