"""Trains the fraud bundle, from nothing to a packed directory: read `train_fraud` from top to bottom."""

from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter

from models.bundle.pack import pack_bundle
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.networks.fused import Fused
from models.scoring.scores import Scores
from models.simulation.settings import SimulationSettings
from models.training.data import Cuts, Split, split
from models.training.devices import deterministic_torch
from models.training.evaluation import evaluate
from models.training.export import check_agreement, export
from models.training.feature_choice import choose_features
from models.training.fit_classifier import ClassifierSettings, calibrate, fit_classifier
from models.training.fit_vae import VaeSettings, fit_percentiles, fit_vae, reconstruction_errors
from models.training.history import History, simulated
from models.training.progress import Progress, silent
from models.training.reference import build_reference
from models.training.report import write_results
from models.training.thresholds import AlertBudget, Objective, choose_thresholds
from schemas.feature_spec import FeatureSpec
from schemas.manifest import Manifest, TrainingRun

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class FraudSettings:
    """Everything that a run depends on, beside the libraries and the processor."""

    spec: FeatureSpec
    seed: int = 1
    version: int = 1
    customers: int = 5_000
    terminals: int = 10_000
    days: int = 60
    cuts: Cuts = field(default_factory=Cuts)
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)
    vae: VaeSettings = field(default_factory=VaeSettings)
    objective: Objective = field(default_factory=AlertBudget)


_SETTINGS = TypeAdapter(FraudSettings)


def train_fraud(
    settings: FraudSettings,
    out: Path,
    progress: Progress = silent,
    results: Path | None = None,
    history: History | None = None,
) -> Manifest:
    """Train, evaluate, export and pack the bundle into the directory `out`. Same settings, same machine: same bytes.

    results: where to write the table of results, if anywhere. history: labelled payments with the features of
    `settings.spec`; by default they are simulated. Raises ValueError's kinds, one sentence each.
    """
    device = deterministic_torch(settings.seed)
    history = history or _simulated(settings, progress)
    cuts = split(history.data, history.days, settings.cuts)

    model = _fit(settings, cuts, device, progress)
    graph = export(model, "fraud")
    check_agreement(model, graph, cuts.test.features)

    on_validation = _scores(model, cuts.validation.features)
    thresholds = choose_thresholds(
        on_validation.probability, on_validation.anomaly_percentile, settings.objective, cuts.validation.is_fraud
    )
    manifest = Manifest(
        name="fraud",
        version=settings.version,
        product="fraud",
        # The end of the data, not the wall clock: the same run gives the same bundle.
        created_at_ms=(history.first_day + history.days) * DAY_MS,
        owner="The Assay authors",
        licence="Apache-2.0",
        permitted_use=(
            "Demonstration and tests. Trained on simulated payments; train on your own history before deciding about real ones."
        ),
        feature_spec=settings.spec,
        thresholds=thresholds,
        training=_run(settings, history, cuts),
        metrics=evaluate(cuts.test, _scores(model, cuts.test.features), thresholds),
        files={},
    )
    legitimate = cuts.validation.legitimate
    pack_bundle(out, manifest, graph, build_reference(settings.spec, legitimate, _scores(model, legitimate)))
    if results:
        write_results(results, manifest)
    return manifest


def _simulated(settings: FraudSettings, progress: Progress) -> History:
    simulation = SimulationSettings(
        seed=settings.seed, customers=settings.customers, terminals=settings.terminals, days=settings.days
    )
    return simulated(simulation, settings.spec, progress)


def _fit(settings: FraudSettings, cuts: Split, device: torch.device, progress: Progress) -> Fused:
    """Both networks with everything between them and a row of raw features."""
    train, validation = cuts.train, cuts.validation
    encoding = fit_encoding(train.legitimate)
    standardisation = fit_standardisation(train.features)
    count = settings.classifier.chosen_inputs
    chosen = choose_features(train, validation, count, settings.seed, progress) if count else ()
    inputs = ClassifierInputs(encoding, standardisation, chosen)
    classifier = fit_classifier(inputs, train, validation, settings.classifier, device, progress)
    calibration = calibrate(inputs, classifier, validation, settings.classifier.calibration)
    vae = fit_vae(encoding, train.legitimate, validation.legitimate, settings.vae, device, progress)
    legitimate_errors = reconstruction_errors(vae, inputs.encode(torch.from_numpy(validation.legitimate)))
    curve = fit_percentiles(legitimate_errors.numpy())
    return Fused(encoding, standardisation, classifier, calibration, vae, curve, chosen).eval()


def _run(settings: FraudSettings, history: History, cuts: Split) -> TrainingRun:
    return TrainingRun(
        data=history.source,
        data_digest=history.data.digest(),
        train_records=len(cuts.train),
        validation_records=len(cuts.validation),
        test_records=len(cuts.test),
        seed=settings.seed,
        settings=recorded(settings),
        libraries={name: version(name) for name in ("numpy", "onnx", "scikit-learn", "torch")},
    )


def _scores(model: Fused, features: NDArray[np.float32]) -> Scores:
    """What the exported graph will say of float32[n, F]."""
    with torch.no_grad():
        parts = [model(rows)[:3] for rows in torch.from_numpy(features).split(8192)]
    return Scores(*(torch.cat(columns).numpy() for columns in zip(*parts, strict=True)))


def with_epochs(settings: FraudSettings, epochs: int) -> FraudSettings:
    """The same settings with at most `epochs` passes over the data for each network."""
    return replace(
        settings, classifier=replace(settings.classifier, epochs=epochs), vae=replace(settings.vae, epochs=epochs)
    )


def recorded(settings: FraudSettings) -> dict[str, JsonValue]:
    """The settings as the manifest records them, beside what it has fields for. `restored` takes them back."""
    flat: dict[str, JsonValue] = _SETTINGS.dump_python(settings, mode="json", exclude={"spec", "seed", "version"})
    return flat


def restored(manifest: Manifest) -> FraudSettings:
    """The settings that a bundle was trained with."""
    identity = {"spec": manifest.feature_spec, "seed": manifest.training.seed, "version": manifest.version}
    return _SETTINGS.validate_python({**manifest.training.settings, **identity})
