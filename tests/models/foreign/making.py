"""Classifiers of other libraries, really trained on simulated payments, exported by their own converters."""

import functools
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
import onnxmltools
import polars as pl
import skl2onnx
import torch
import xgboost
from numpy.typing import NDArray
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from models.features.spec_file import load_spec
from models.simulation.settings import SimulationSettings
from models.training.data import Dataset
from models.training.fraud.history import simulated
from schemas.feature_spec import FeatureSpec

DAY_MS = 86_400_000
HELD_OUT_DAY = 12
"""What is earlier trains, what is later is reference data."""


class Model(NamedTuple):
    """onnx: the file. probability: what the library itself says of float32[n, F]. fitted: its own model, of boosted trees."""

    onnx: bytes
    probability: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    fitted: object = None


@functools.cache
def spec() -> FeatureSpec:
    """The demo's features."""
    return load_spec(Path(__file__).parents[3] / "deploy/features/fraud.yaml")


@functools.cache
def payments() -> Dataset:
    """A few weeks of a small town, with features and labels."""
    return simulated(SimulationSettings(seed=3, customers=400, terminals=800, days=24), spec()).data


def training() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features and classes of the earlier days."""
    data = payments()[payments().day < HELD_OUT_DAY]
    return data.features, data.is_fraud.astype(np.int64)


@functools.cache
def held_out() -> Dataset:
    """The later days."""
    return payments()[payments().day >= HELD_OUT_DAY]


def write_reference(path: Path, **others: NDArray[np.generic]) -> Path:
    """The later days as `assay dataset build` writes them. others: further columns."""
    data = held_out()
    columns = {f"feature_{name}": data.features[:, place] for place, name in enumerate(spec().names)}
    frame = pl.DataFrame({**columns, "is_fraud": data.is_fraud, **others})
    times = data.day * DAY_MS + 1_767_225_600_000 + np.arange(len(data))
    frame = frame.with_columns(event_time_ms=pl.Series(times), card_id=pl.Series([f"card-{n}" for n in data.card]))
    frame.write_parquet(path)
    return path


@functools.cache
def model(kind: str) -> Model:
    """One of MODELS, trained once a run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MODELS[kind]()


def _boosted(classifier: object, convert: Callable[..., object], **options: object) -> Model:
    features, classes = training()
    fitted = classifier.fit(features, classes)  # type: ignore[attr-defined]
    made = convert(fitted, initial_types=[("input", FloatTensorType([None, features.shape[1]]))], **options)
    return Model(made.SerializeToString(), lambda rows: fitted.predict_proba(rows)[:, 1], fitted)  # type: ignore[attr-defined]


def _xgboost() -> Model:
    classifier = xgboost.XGBClassifier(n_estimators=50, max_depth=3, n_jobs=1, random_state=0)
    return _boosted(classifier, onnxmltools.convert_xgboost)


def _lightgbm() -> Model:
    classifier = lightgbm.LGBMClassifier(n_estimators=50, max_depth=3, n_jobs=1, random_state=0, verbose=-1)
    return _boosted(classifier, onnxmltools.convert_lightgbm)


def _of_sklearn(*steps: object, **options: object) -> Model:
    features, classes = training()
    fitted = make_pipeline(*steps).fit(features, classes)
    sets = {"": 18, "ai.onnx.ml": 3}
    content = skl2onnx.to_onnx(fitted, features[:1], target_opset=sets, **options).SerializeToString()
    return Model(content, lambda rows: fitted.predict_proba(rows)[:, 1])


class Net(nn.Module):
    """A dense net with what such nets have. outputs: 1 ends with a sigmoid, 2 with a softmax."""

    def __init__(self, features: NDArray[np.float32], outputs: int, last: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(features.shape[1]),
            nn.Linear(features.shape[1], 16),
            nn.LeakyReLU(),
            nn.Dropout(0.1),
            nn.Linear(16, 8),
            nn.Tanh(),
            nn.Linear(8, outputs),
            last,
        )
        self.outputs = outputs

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities, [n] or [n, 2]."""
        found: torch.Tensor = self.layers(rows)
        return found.squeeze(-1) if self.outputs == 1 else found


def _of_torch(outputs: int, last: nn.Module) -> Model:
    torch.manual_seed(0)
    features, classes = training()
    net = Net(features, outputs, last)
    rows, truth = torch.from_numpy(features), torch.from_numpy(classes)
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        said = net(rows) if outputs == 1 else net(rows)[:, 1]
        nn.functional.binary_cross_entropy(said.clamp(1e-6, 1 - 1e-6), truth.float()).backward()
        optimiser.step()
    net.eval()
    file = io.BytesIO()
    names = {"input_names": ["x"], "output_names": ["p"], "dynamic_axes": {"x": {0: "n"}, "p": {0: "n"}}}
    torch.onnx.export(net, (rows[:2],), file, dynamo=False, **names)

    def probability(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.no_grad():
            said = net(torch.from_numpy(matrix))
        return (said if outputs == 1 else said[:, 1]).numpy().astype(np.float64)

    return Model(file.getvalue(), probability)


MODELS: dict[str, Callable[[], Model]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "random forest": lambda: _of_sklearn(RandomForestClassifier(20, max_depth=6, random_state=0)),
    "forest without a zip map": lambda: _of_sklearn(
        RandomForestClassifier(5, max_depth=4, random_state=0), options={"zipmap": False}
    ),
    "gradient boosting": lambda: _of_sklearn(GradientBoostingClassifier(n_estimators=20, random_state=0)),
    "logistic regression": lambda: _of_sklearn(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "calibrated": lambda: _of_sklearn(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), cv=2)),
    "network of scikit-learn": lambda: _of_sklearn(StandardScaler(), MLPClassifier((8,), max_iter=20, random_state=0)),
    "network of pytorch": lambda: _of_torch(1, nn.Sigmoid()),
    "softmax of pytorch": lambda: _of_torch(2, nn.Softmax(dim=-1)),
}
