"""Trains the fraud bundle, from nothing to a packed directory: read `train_fraud` from top to bottom."""

from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
from models.training.baselines import ANOMALY_STAGE, baseline_works, baselines, of_parts, unsupervised_scores
from models.training.card import ModelCard
from models.training.checkpoints import NONE, Checkpoints, kept
from models.training.code_version import code_version
from models.training.data import Cuts, Dataset, Split, TrainingError, check_enough, sampled, split
from models.training.devices import deterministic_torch
from models.training.export import check_agreement, export
from models.training.fit_classifier import WIDE, ClassifierSettings, calibrate, fit_logit
from models.training.fit_vae import RARITY, VaeSettings, fit_percentiles, fit_vae, not_recorded, reconstruction_errors
from models.training.floor import ROWS_MAX, check_floor, logistic_precision
from models.training.fraud.augmentation import AugmentationSettings, augmented
from models.training.fraud.evaluation import ErrorUnit, evaluate
from models.training.fraud.feature_choice import choose_features
from models.training.fraud.held_out import carried
from models.training.fraud.history import SIMULATED, History, simulated
from models.training.fraud.tables import build_evaluation
from models.training.fraud.tuning import Budget, Tuning, tuned
from models.training.fraud.unseen import unseen_scenarios
from models.training.model_report.inputs import FRAUD
from models.training.model_report.of_bundle import bundle_report
from models.training.progress import Progress, silent
from models.training.reference import build_reference
from models.training.results.page import write_results
from models.training.results.tables import SCENARIOS
from models.training.running import Run
from models.training.thresholds import AlertBudget, Objective, choose_thresholds
from models.training.workers import Work, beside, processes_of
from schemas.evaluation import Evaluation, Group
from schemas.feature_spec import FeatureSpec
from schemas.manifest import Fault, Manifest, Thresholds, TrainingRun
from schemas.source_spec import SourceSpec

DAY_MS = 24 * 3600 * 1000
EPOCH = date(1970, 1, 1)
ROWS = 8192
"""Asked at once."""
UNSEEN = "unseen kinds of fraud"

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
    vae: VaeSettings = RARITY
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
    tuning: tuple[Tuning, ...] = ()
    """The trials that the classifier's settings were chosen by, if they were."""

    def __post_init__(self) -> None:
        """Raises TrainingError where the source lacks what the features read."""
        if problem := misfit(self.spec, self.source):
            raise TrainingError(problem)


_SETTINGS = TypeAdapter(FraudSettings)

OF_SIMULATION = ("customers", "terminals", "days", "rings")
"""Settings that do not apply to a history read from a file."""

WHERE_USED = ("rings", "tuning")
"""Settings that are recorded only where they are not the default, as bundles before them have none."""

OF_NO_FIT = ("accepted", "objective", "card", "compared")
"""Settings that a run may go on with other values of."""


def train_fraud(
    settings: FraudSettings,
    out: Path,
    progress: Progress = silent,
    results: Path | None = None,
    history: History | None = None,
    processes: int | None = 1,
    checkpoints: Checkpoints = NONE,
    tune: Budget | None = None,
) -> Manifest:
    """Train, evaluate, export and pack the bundle into the directory `out`. Same settings, same machine: same bytes.

    results: where to write the table of results, if anywhere. history: labelled payments with the features of
    `settings.spec`; by default they are simulated. processes: for fits that do not need each other; None for one a core.
    checkpoints: where features lie, and what a run that is killed goes on from; removed once the bundle is written. tune: to
    choose the classifier's settings in, on the training cut; the manifest has the trials, so without it the same bundle again.
    Raises ValueError's kinds, one sentence each.
    """
    device = deterministic_torch(settings.seed)
    run = Run(device, progress, processes_of(processes, device.type), checkpoints)
    card = settings.card or (SIMULATED_CARD if history is None else OWN_CARD)
    history, settings = _with_features(history or _simulated(settings, run), settings)
    checkpoints.begin(_identity(_run(settings, history), tune))
    cuts = split(history.data, history.days, cuts_from(settings, history.first_day, history.days))
    check_enough(cuts)

    settings = _tuned(settings, cuts, tune, run)
    train, of_gan = _augmented(settings, cuts, run)
    model = _fit(settings, cuts, train, run)
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
        training=_run(settings, history).model_copy(update=_records(cuts)),
        metrics=_metrics(settings, cuts, model, on_test, thresholds) | of_gan,
        evaluation=_evaluation(settings, history, cuts, model, on_test, thresholds, run),
        files={},
    )
    check_floor(manifest, settings.accepted)
    progress("report", 0, 1)
    manifest = _packed(out, manifest, graph, model, history, (cuts.validation, on_validation), (cuts.test, on_test))
    if results:
        write_results(results, manifest)
    progress("report", 1, 1)
    checkpoints.end()
    return manifest


def _packed(
    out: Path,
    manifest: Manifest,
    graph: bytes,
    model: Fused,
    history: History,
    validation: tuple[Dataset, Scores],
    test: tuple[Dataset, Scores],
) -> Manifest:
    """Write the bundle with its reference, report, golden rows and held-out scores. Returns the manifest that names them."""
    legitimate, (tested, on_test) = validation[0].legitimate, test
    reference = build_reference(manifest.feature_spec, legitimate, _scores(model, legitimate))
    held_out = carried(validation, test, history.first_day)
    manifest = stated(manifest, graph, reference, held_out)
    kinds = SCENARIOS if history.source == SIMULATED else {}  # those of other data are numbers to us
    report = bundle_report(manifest, graph, reference, model, partial(_scores, model), tested, FRAUD, kinds)
    golden = golden_of(tested.features, on_test, partial(feature_errors, model))
    pack_bundle(out, manifest, graph, reference, report, golden, held_out)
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


def _simulated(settings: FraudSettings, run: Run) -> History:
    simulation = SimulationSettings(
        seed=settings.seed,
        customers=settings.customers,
        terminals=settings.terminals,
        days=settings.days,
        rings=settings.rings,
    )
    return simulated(simulation, settings.spec, run.progress, run.checkpoints.directory)


def _tuned(settings: FraudSettings, cuts: Split, tune: Budget | None, run: Run) -> FraudSettings:
    """The settings with the best classifier of a budget, and its trials."""
    if tune is None:
        return settings
    days = (settings.cuts.validation_days, settings.cuts.delay_days)
    best, trials = tuned(cuts.train, days, settings.spec, settings.classifier, settings.seed, tune, run)
    return replace(settings, classifier=best, tuning=trials)


def _augmented(settings: FraudSettings, cuts: Split, run: Run) -> tuple[Dataset, dict[str, float]]:
    """What the classifier is fitted on, with synthetic frauds if they passed the gate, and the gate's figures."""
    if settings.gan is None:
        return cuts.train, {}
    delay_days = settings.cuts.delay_days
    return augmented(cuts, delay_days, settings.spec, settings.gan, settings.classifier, settings.seed, run)


def _fit(settings: FraudSettings, cuts: Split, labelled: Dataset, run: Run) -> Fused:
    """Both networks with everything between them and a row of raw features. labelled: what the classifier is fitted on."""
    train, validation, embedded = cuts.train, cuts.validation, settings.spec.embedded
    encoding = fit_encoding(train.legitimate, values=present(train.features, embedded))
    standardisation = fit_standardisation(train.features, embedded)
    count, device, progress = settings.classifier.chosen_inputs, run.device, run.progress
    chosen = choose_features(train, validation, count, settings.seed, progress, embedded) if count else ()
    inputs = ClassifierInputs(encoding, standardisation, chosen)
    stage = run.checkpoints.stage("classifier")
    logit = fit_logit(inputs, labelled, validation, settings.classifier, settings.seed, device, progress, stage)
    calibration = calibrate(logit, validation, settings.classifier.calibration)
    vae = fit_vae(encoding, train.legitimate, validation.legitimate, settings.vae, device, progress)
    legitimate = torch.from_numpy(validation.legitimate).split(ROWS)
    legitimate_errors = torch.cat([reconstruction_errors(vae, inputs.encode(rows)) for rows in legitimate])
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
    unit: ErrorUnit = "nats" if model.vae.in_nats else "mse"
    return evaluate(cuts.test, on_test, thresholds, error=unit) | {LOGISTIC: logistic}


def _evaluation(
    settings: FraudSettings,
    history: History,
    cuts: Split,
    model: Fused,
    on_test: Scores,
    thresholds: Thresholds,
    run: Run,
) -> Evaluation:
    budget = settings.objective if isinstance(settings.objective, AlertBudget) else AlertBudget()
    others: dict[str, NDArray[np.float32]] = {}
    unseen: tuple[Group, ...] = ()
    if settings.compared:
        others, unseen = _compared(settings, cuts, model, on_test, budget, run)
    return build_evaluation(
        cuts.test,
        on_test,
        thresholds,
        others,
        seed=settings.seed,
        budget=budget,
        day_name=lambda day: (EPOCH + timedelta(days=history.first_day + day)).isoformat(),
        unseen=unseen,
        drawn=f" The models beside it are fitted on {ROWS_MAX:,} rows drawn of {len(cuts.train):,}."
        if others and len(cuts.train) > ROWS_MAX
        else "",
    )


def _compared(
    settings: FraudSettings,
    cuts: Split,
    model: Fused,
    on_test: Scores,
    budget: AlertBudget,
    run: Run,
) -> tuple[dict[str, NDArray[np.float32]], tuple[Group, ...]]:
    """Other models' scores of the test cut, and what is found of kinds of fraud that were never shown."""
    embedded, seed = settings.spec.embedded, settings.seed
    train = sampled(cuts.train, ROWS_MAX, seed)
    of_unseen = (cuts, model.inputs, on_test, settings.classifier, seed, budget, run.device, torch.get_rng_state())
    scored: dict[str, Work[Any]] = {**baseline_works(train, cuts.test, seed, embedded)}
    scored[ANOMALY_STAGE] = partial(unsupervised_scores, *_numbers(settings.spec, train, cuts.test), seed)
    works: dict[str, Work[Any]] = {
        UNSEEN: partial(unseen_scenarios, *of_unseen, run.checkpoints),
        **{name: partial(kept, run.checkpoints.stage(name), name, work) for name, work in scored.items()},
    }
    found = dict(zip(works, beside(tuple(works.values()), run.progress, run.processes), strict=True))
    known = of_parts({name: found[name] for name in scored if name != ANOMALY_STAGE})
    return {name: known[name] for name in baselines(seed)} | found[ANOMALY_STAGE], found[UNSEEN]


def _numbers(spec: FeatureSpec, train: Dataset, test: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What is legitimate of the rows to fit on, and all of the test cut, float32[n, F], codes as flags."""
    values = present(train.features, spec.embedded)
    return with_flags(train.legitimate, values), with_flags(test.features, values)


def _run(settings: FraudSettings, history: History) -> TrainingRun:
    """What the run depends on; the cuts' sizes are `_records`."""
    simulation = history.source == SIMULATED
    return TrainingRun(
        data=history.source,
        data_digest=history.data.digest(),
        train_records=0,
        validation_records=0,
        test_records=0,
        seed=settings.seed,
        settings={name: v for name, v in recorded(settings).items() if simulation or name not in OF_SIMULATION},
        libraries={name: version(name) for name in _libraries(settings.classifier)},
        code=code_version(),
    )


def _identity(training: TrainingRun, tune: Budget | None) -> dict[str, Any]:
    """What the fits depend on."""
    fields = training.model_dump(mode="json")
    settings = {name: value for name, value in fields.pop("settings").items() if name not in OF_NO_FIT}
    return fields | settings | {"tune": None if tune is None else asdict(tune)}


def _records(cuts: Split) -> dict[str, int]:
    parts = {"train": cuts.train, "validation": cuts.validation, "test": cuts.test}
    return {f"{name}_records": len(part) for name, part in parts.items()}


def _libraries(classifier: ClassifierSettings) -> tuple[str, ...]:
    trees = (classifier.trees.library,) if classifier.trees else ()
    return ("numpy", "onnx", "scikit-learn", "torch", *trees)


def _scores(model: Fused, features: NDArray[np.float32]) -> Scores:
    """What the exported graph will say of float32[n, F]."""
    with torch.no_grad():
        parts = [model(rows)[:3] for rows in torch.from_numpy(features).split(ROWS)]
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
            (
                "spec",
                "seed",
                "version",
                "name",
                "source",
                *(name for name in WHERE_USED if not getattr(settings, name)),
            ),
            True,
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
