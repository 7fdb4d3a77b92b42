"""Trains the fraud bundle, from nothing to a packed directory: read `train_fraud` from top to bottom."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter

from models.bundle.pack import pack_bundle, stated
from models.bundle.verdict import LOGISTIC
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation, present, with_flags
from models.networks.fused import Fused, feature_errors
from models.scoring.golden import golden_of
from models.scoring.scores import Scores
from models.simulation.settings import SimulationSettings
from models.sources.fits import misfit
from models.training.baselines import baseline_scores, unsupervised_scores
from models.training.card import ModelCard
from models.training.code_version import code_version
from models.training.data import Cuts, Dataset, Split, TrainingError, check_enough, split
from models.training.devices import deterministic_torch
from models.training.export import check_agreement, export
from models.training.fit_classifier import WIDE, ClassifierSettings, calibrate, fit_logit
from models.training.fit_vae import VaeSettings, fit_percentiles, fit_vae, not_recorded, reconstruction_errors
from models.training.floor import check_floor, logistic_precision
from models.training.fraud.augmentation import AugmentationSettings, augmented
from models.training.fraud.evaluation import ErrorUnit, evaluate
from models.training.fraud.feature_choice import choose_features
from models.training.fraud.held_out import carried
from models.training.fraud.history import SIMULATED, History, simulated
from models.training.fraud.tables import build_evaluation
from models.training.fraud.unseen import unseen_scenarios
from models.training.model_report.inputs import FRAUD
from models.training.model_report.of_bundle import bundle_report
from models.training.progress import Progress, silent
from models.training.reference import build_reference
from models.training.results.page import write_results
from models.training.results.tables import SCENARIOS
from models.training.thresholds import AlertBudget, Objective, choose_thresholds
from schemas.evaluation import Evaluation, Group
from schemas.feature_spec import FeatureSpec
from schemas.manifest import Fault, Manifest, Thresholds, TrainingRun
from schemas.source_spec import SourceSpec

DAY_MS = 24 * 3600 * 1000
EPOCH = date(1970, 1, 1)


SIMULATED_CARD = ModelCard(
    owner="The Assay authors",
    licence="Apache-2.0",
    permitted_use=(
        "Demonstration and tests. Trained on simulated payments; train on your own history before deciding about real ones."
    ),
)
OWN_CARD = ModelCard(
    owner="The user who trained it on their own payments",
    licence="As the payments that it was trained on",
    permitted_use="Scoring payments of the kind that it was trained on, after a review of its figures.",
)


@dataclass(frozen=True, slots=True)
class FraudSettings:
    """Everything that a run depends on, beside the libraries and the processor.

    gan: how synthetic frauds are tried; None tries none. compared: fit the baselines too, and the classifiers that were never
    shown a kind of fraud. from_date: first day of the training cut, ISO 8601; by default that of the data. card: by default
    what fits the data.
    """

    spec: FeatureSpec
    seed: int = 1
    version: int = 1
    name: str = "fraud"
    """Of the model line."""
    customers: int = 5_000
    terminals: int = 10_000
    days: int = 100
    """The first 30 fill the longest windows: of 60, too few payments to train on had full ones (docs/decisions)."""
    cuts: Cuts = field(default_factory=Cuts)
    classifier: ClassifierSettings = WIDE
    vae: VaeSettings = field(default_factory=VaeSettings)
    objective: Objective = field(default_factory=AlertBudget)
    compared: bool = True
    gan: AugmentationSettings | None = field(default_factory=AugmentationSettings)
    from_date: str | None = None
    card: ModelCard | None = None
    source: SourceSpec | None = None
    accepted: tuple[Fault, ...] = ()
    """Faults that the bundle is written in spite of: see `models.training.floor`."""
    rings: bool = False
    """Whether the simulated payments have frauds of many cards at once."""

    def __post_init__(self) -> None:
        """Raises TrainingError where the source lacks what the features read."""
        if problem := misfit(self.spec, self.source):
            raise TrainingError(problem)


_SETTINGS = TypeAdapter(FraudSettings)

OF_SIMULATION = ("customers", "terminals", "days", "rings")
"""Settings that do not apply to a history read from a file."""


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
    card = settings.card or (SIMULATED_CARD if history is None else OWN_CARD)
    history, settings = _with_features(history or _simulated(settings, progress), settings)
    cuts = split(history.data, history.days, cuts_from(settings, history.first_day, history.days))
    check_enough(cuts)

    train, of_gan = _augmented(settings, cuts, device, progress)
    model = _fit(settings, cuts, train, device, progress)
    graph = export(model, "fraud")
    check_agreement(model, graph, cuts.test.features)

    on_validation = _scores(model, cuts.validation.features)
    thresholds = _thresholds(settings, cuts.validation, on_validation)
    on_test = _scores(model, cuts.test.features)
    manifest = Manifest(
        name=settings.name,
        version=settings.version,
        product="fraud",
        created_at_ms=(history.first_day + history.days) * DAY_MS,  # no clock's: the same run gives the same bundle
        owner=card.owner,
        licence=card.licence,
        permitted_use=card.permitted_use,
        feature_spec=settings.spec,
        source=settings.source,
        thresholds=thresholds,
        training=_run(settings, history, cuts),
        metrics=_metrics(settings, cuts, model, on_test, thresholds) | of_gan,
        evaluation=_evaluation(settings, history, cuts, model, on_test, thresholds, device, progress),
        files={},
    )
    check_floor(manifest, settings.accepted)
    legitimate = cuts.validation.legitimate
    reference = build_reference(settings.spec, legitimate, _scores(model, legitimate))
    held_out = carried((cuts.validation, on_validation), (cuts.test, on_test), history.first_day)
    manifest = stated(manifest, graph, reference, held_out)
    kinds = SCENARIOS if history.source == SIMULATED else {}  # those of other data are numbers to us
    report = bundle_report(manifest, graph, reference, model, partial(_scores, model), cuts.test, FRAUD, kinds)
    golden = golden_of(cuts.test.features, on_test, partial(feature_errors, model))
    pack_bundle(out, manifest, graph, reference, report, golden, held_out)
    if results:
        write_results(results, manifest)
    return manifest


def cuts_from(settings: FraudSettings, start_day: int, days: int) -> Cuts:
    """The cuts, with the first day counted from the data's, `start_day`.

    Raises TrainingError for a date that is invalid or outside them.
    """
    if settings.from_date is None:
        return settings.cuts
    try:
        first_day = (date.fromisoformat(settings.from_date) - EPOCH).days - start_day
    except ValueError:
        raise TrainingError(f"{settings.from_date!r} is no date: write for example 2018-07-25.") from None
    if not 0 <= first_day < days:
        first = EPOCH + timedelta(days=start_day)
        raise TrainingError(f"{settings.from_date} is not among the {days} days from {first}: choose another.")
    return replace(settings.cuts, first_day=first_day)


def _with_features(history: History, settings: FraudSettings) -> tuple[History, FraudSettings]:
    """The settings with the spec that the history's features are of: with what its train cut taught."""
    return history, replace(settings, spec=history.spec or settings.spec)


def _simulated(settings: FraudSettings, progress: Progress) -> History:
    simulation = SimulationSettings(
        seed=settings.seed,
        customers=settings.customers,
        terminals=settings.terminals,
        days=settings.days,
        rings=settings.rings,
    )
    return simulated(simulation, settings.spec, progress)


def _augmented(
    settings: FraudSettings, cuts: Split, device: torch.device, progress: Progress
) -> tuple[Dataset, dict[str, float]]:
    """What the classifier is fitted on, with synthetic frauds if they passed the gate, and the gate's figures."""
    if settings.gan is None:
        return cuts.train, {}
    delay_days = settings.cuts.delay_days
    return augmented(
        cuts, delay_days, settings.spec, settings.gan, settings.classifier, settings.seed, device, progress
    )


def _fit(settings: FraudSettings, cuts: Split, labelled: Dataset, device: torch.device, progress: Progress) -> Fused:
    """Both networks with everything between them and a row of raw features. labelled: what the classifier is fitted on."""
    train, validation, embedded = cuts.train, cuts.validation, settings.spec.embedded
    encoding = fit_encoding(train.legitimate, values=present(train.features, embedded))
    standardisation = fit_standardisation(train.features, embedded)
    count = settings.classifier.chosen_inputs
    chosen = choose_features(train, validation, count, settings.seed, progress, embedded) if count else ()
    inputs = ClassifierInputs(encoding, standardisation, chosen)
    logit = fit_logit(inputs, labelled, validation, settings.classifier, settings.seed, device, progress)
    calibration = calibrate(logit, validation, settings.classifier.calibration)
    vae = fit_vae(encoding, train.legitimate, validation.legitimate, settings.vae, device, progress)
    legitimate_errors = reconstruction_errors(vae, inputs.encode(torch.from_numpy(validation.legitimate)))
    curve = fit_percentiles(legitimate_errors.numpy())
    network, trees, mix = logit.network, logit.trees, logit.mix
    return Fused(encoding, standardisation, network, calibration, vae, curve, chosen, trees, mix).eval()


def _thresholds(settings: FraudSettings, validation: Dataset, scores: Scores) -> Thresholds:
    days = settings.cuts.validation_days
    truth, amount = validation.is_fraud, validation.amount
    return choose_thresholds(scores.probability, scores.anomaly_percentile, settings.objective, truth, days, amount)


def _metrics(
    settings: FraudSettings, cuts: Split, model: Fused, on_test: Scores, thresholds: Thresholds
) -> dict[str, float]:
    """The bundle's figures, and the one that it is held against."""
    logistic = logistic_precision(cuts.train, cuts.test, model.inputs.chosen.tolist(), settings.spec.embedded)
    unit: ErrorUnit = "mse" if model.vae.likelihood is None else "nats"
    return evaluate(cuts.test, on_test, thresholds, error=unit) | {LOGISTIC: logistic}


def _evaluation(
    settings: FraudSettings,
    history: History,
    cuts: Split,
    model: Fused,
    on_test: Scores,
    thresholds: Thresholds,
    device: torch.device,
    progress: Progress,
) -> Evaluation:
    budget = settings.objective if isinstance(settings.objective, AlertBudget) else AlertBudget()
    others: dict[str, NDArray[np.float32]] = {}
    unseen: tuple[Group, ...] = ()
    if settings.compared:
        others = baseline_scores(cuts.train, cuts.test, settings.seed, progress, settings.spec.embedded)
        others |= unsupervised_scores(*_numbers(settings.spec, cuts), settings.seed, progress)
        unseen = unseen_scenarios(cuts, model, on_test, settings.classifier, settings.seed, budget, device, progress)
    return build_evaluation(
        cuts.test,
        on_test,
        thresholds,
        others,
        seed=settings.seed,
        budget=budget,
        day_name=lambda day: (EPOCH + timedelta(days=history.first_day + day)).isoformat(),
        unseen=unseen,
    )


def _numbers(spec: FeatureSpec, cuts: Split) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the autoencoder is fitted on and all of the test cut, float32[n, F], codes as flags."""
    values = present(cuts.train.features, spec.embedded)
    return with_flags(cuts.train.legitimate, values), with_flags(cuts.test.features, values)


def _run(settings: FraudSettings, history: History, cuts: Split) -> TrainingRun:
    simulation = history.source == SIMULATED
    return TrainingRun(
        data=history.source,
        data_digest=history.data.digest(),
        train_records=len(cuts.train),
        validation_records=len(cuts.validation),
        test_records=len(cuts.test),
        seed=settings.seed,
        settings={name: v for name, v in recorded(settings).items() if simulation or name not in OF_SIMULATION},
        libraries={name: version(name) for name in _libraries(settings.classifier)},
        code=code_version(),
    )


def _libraries(classifier: ClassifierSettings) -> tuple[str, ...]:
    trees = (classifier.trees.library,) if classifier.trees else ()
    return ("numpy", "onnx", "scikit-learn", "torch", *trees)


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
    flat: dict[str, JsonValue] = _SETTINGS.dump_python(
        settings,
        mode="json",
        exclude=dict.fromkeys(
            ("spec", "seed", "version", "name", "source", *(() if settings.rings else ("rings",))), True
        )
        | {"vae": not_recorded(settings.vae)},
    )
    return flat


def restored(manifest: Manifest) -> FraudSettings:
    """The settings that a bundle was trained with."""
    identity = {
        "spec": manifest.feature_spec,
        "seed": manifest.training.seed,
        "version": manifest.version,
        "name": manifest.name,
    }
    return _SETTINGS.validate_python({**manifest.training.settings, **identity, "source": manifest.source})
