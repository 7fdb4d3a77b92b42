"""Trains the credit bundle, from a file of applications to a packed directory: read `train_credit` from top to bottom."""

from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter

from models.bundle.pack import pack_bundle, stated
from models.bundle.verdict import LOGISTIC
from models.features.attributes import AttributeMapping
from models.files.applications import Applications
from models.networks.classifier import REFERENCE
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation, present
from models.networks.fused import Fused, feature_errors
from models.networks.logit import Logit
from models.scoring.golden import golden_of
from models.scoring.scores import Scores
from models.training.card import ModelCard
from models.training.code_version import code_version
from models.training.credit.choose_inputs import choose_inputs
from models.training.credit.data import stratified_split
from models.training.credit.learning import taught
from models.training.credit.metrics import credit_metrics
from models.training.data import Dataset, Split, TrainingError
from models.training.devices import deterministic_torch
from models.training.export import check_agreement, export
from models.training.fit_classifier import ClassifierSettings, calibrate, fit_classifier
from models.training.fit_vae import MIXED, VaeSettings, fit_percentiles, fit_vae, not_recorded, reconstruction_errors
from models.training.floor import check_floor, logistic_precision
from models.training.model_report.inputs import CREDIT
from models.training.model_report.of_bundle import bundle_report
from models.training.progress import Progress, silent
from models.training.reference import build_reference, medians
from models.training.thresholds import (
    AlertBudget,
    AlertsPerDay,
    AmountCosts,
    CostMatrix,
    Objective,
    PrecisionFloor,
    RecallFloor,
    choose_thresholds,
)
from schemas.feature_kinds.event import AttributeFeature
from schemas.feature_spec import FeatureSpec
from schemas.manifest import Fault, Manifest, Thresholds, TrainingRun
from schemas.reference import Reference

BACKGROUND_ROWS = 16
"""Approved applicants that reasons compare with: as many as one declined application may cost (docs/decisions)."""

COSTS = CostMatrix(false_negative=5.0, false_positive=1.0)
"""The cost matrix that comes with German credit (UCI 144, german.doc)."""

REFERENCE_CLASSIFIER = ClassifierSettings(
    hidden=REFERENCE.hidden,
    chosen_inputs=REFERENCE.inputs,
    epochs=60,
    learning_rate=5e-3,
    weight_decay=1e-2,
    patience_epochs=10,
)
"""The reference network, 8 -> 10 ReLU -> 1 sigmoid, over standardised inputs."""

WIDE_CLASSIFIER = ClassifierSettings(
    hidden=(64, 32), epochs=60, learning_rate=1e-3, weight_decay=0.1, dropout=0.1, patience_epochs=10
)
"""Every input, encoded and standardised."""

CREDIT_VAE = VaeSettings(epochs=40, batch_rows=256)
CREDIT_VAES = {
    "reference": CREDIT_VAE,
    "rarity": replace(CREDIT_VAE, score="rarity"),
    "mixed": replace(MIXED, epochs=40, batch_rows=256),
}


PUBLIC_CARD = ModelCard(
    owner="The Assay authors",
    licence="Apache-2.0",
    permitted_use=(
        "Demonstration, tests and research. Before deciding about real applicants train on your own history, and have "
        "the model validated and its effect on protected groups measured (ECOA; EU AI Act, annex III 5(b))."
    ),
)
OWN_CARD = ModelCard(
    owner="The user who trained it on their own applications",
    licence="As the applications that it was trained on",
    permitted_use=(
        "Deciding on applications of the kind that it was trained on, once the model is validated and its effect on "
        "protected groups measured (ECOA; EU AI Act, annex III 5(b))."
    ),
)


@dataclass(frozen=True, slots=True)
class CreditSource:
    """Where the data come from. created_at_ms: their date, which the bundle takes as its own, so that a run repeats."""

    words: str
    card: ModelCard
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class CreditSettings:
    """Everything that a run depends on, beside the data, the libraries and the processor.

    refer_share: share of the applications not declined that are referred to a person, as the least like those repaid.
    """

    spec: FeatureSpec
    seed: int = 1
    version: int = 1
    classifier: ClassifierSettings = REFERENCE_CLASSIFIER
    vae: VaeSettings = CREDIT_VAE
    objective: Objective = field(default_factory=lambda: COSTS)
    refer_share: float = 0.01
    accepted: tuple[Fault, ...] = ()
    """Faults that the bundle is written in spite of: see `models.training.floor`."""


_SETTINGS = TypeAdapter(CreditSettings)

Network = Literal["reference", "wide"]
Autoencoder = Literal["reference", "rarity", "mixed"]


def sized(settings: ClassifierSettings, rows: int) -> ClassifierSettings:
    """The settings with batches that suit `rows` training rows: some 50 an epoch, of 64 to 256 rows."""
    return replace(settings, batch_rows=min(256, max(64, rows // 50)))


class Networks(TypedDict):
    """The settings of both networks."""

    classifier: ClassifierSettings
    vae: VaeSettings


def network(name: Network, epochs: int | None = None, autoencoder: Autoencoder = "reference") -> Networks:
    """The classifier and the VAE by name; epochs: passes over the data, at most, for each."""
    classifier, vae = (REFERENCE_CLASSIFIER if name == "reference" else WIDE_CLASSIFIER), CREDIT_VAES[autoencoder]
    if epochs is not None:
        classifier, vae = replace(classifier, epochs=epochs), replace(vae, epochs=epochs)
    return {"classifier": classifier, "vae": vae}


def train_credit(
    settings: CreditSettings, applications: Applications, source: CreditSource, out: Path, progress: Progress = silent
) -> Manifest:
    """Train, evaluate, export and pack the bundle into the directory `out`. Same settings and data, same machine: same bytes.

    Raises ValueError's kinds, one sentence each.
    """
    _check(settings.spec, settings.classifier)
    device = deterministic_torch(settings.seed)
    assert applications.defaulted is not None, "training needs labels"
    spec, data, refused = taught(settings.spec, applications.attributes, applications.defaulted, settings.seed)
    settings = replace(settings, spec=spec)
    cuts = stratified_split(data, settings.seed)

    model = _fit(settings, cuts, device, progress)
    graph = export(model, "credit")
    check_agreement(model, graph, cuts.test.features)

    on_validation = model_scores(model, cuts.validation.features)
    thresholds = credit_thresholds(on_validation, cuts.validation.is_fraud, settings)
    on_test = model_scores(model, cuts.test.features)
    manifest = Manifest(
        name="credit",
        version=settings.version,
        product="credit",
        created_at_ms=source.created_at_ms,
        owner=source.card.owner,
        licence=source.card.licence,
        permitted_use=source.card.permitted_use,
        feature_spec=settings.spec,
        thresholds=thresholds,
        training=_run(
            settings, f"{source.words} {refused:,} applications were refused by the feature spec.", data, cuts
        ),
        metrics=credit_metrics(cuts.test.is_fraud, on_test, thresholds, "nats" if model.vae.in_nats else "mse")
        | {LOGISTIC: logistic_precision(cuts.train, cuts.test, embedded=settings.spec.embedded)},
        files={},
    )
    check_floor(manifest, settings.accepted)
    reference = _reference(settings, cuts, on_validation, thresholds)
    manifest = stated(manifest, graph, reference)
    report = bundle_report(manifest, graph, reference, model, partial(model_scores, model), cuts.test, CREDIT)
    pack_bundle(
        out, manifest, graph, reference, report, golden_of(cuts.test.features, on_test, partial(feature_errors, model))
    )
    return manifest


def _run(settings: CreditSettings, words: str, data: Dataset, cuts: Split) -> TrainingRun:
    return TrainingRun(
        data=words,
        data_digest=data.digest(),
        train_records=len(cuts.train),
        validation_records=len(cuts.validation),
        test_records=len(cuts.test),
        seed=settings.seed,
        code=code_version(),
        settings=recorded(settings),
        libraries={name: version(name) for name in ("numpy", "onnx", "scikit-learn", "torch")},
    )


def chosen_names(spec: FeatureSpec, applications: Applications, count: int, seed: int) -> list[str]:
    """The inputs that `choose_inputs` takes on the training part, of those that law leaves, in the order of the choice.

    Codes of embedded categories are no numbers, and are left out.
    """
    assert applications.defaulted is not None, "a choice needs labels"
    spec, data, _ = taught(spec, applications.attributes, applications.defaulted, seed)
    train = stratified_split(data, seed).train
    free = [place for place in unprotected(spec) if place not in spec.embedded]
    return [spec.names[free[place]] for place in choose_inputs(train.features[:, free], train.is_fraud, count)]


def unprotected(spec: FeatureSpec) -> list[int]:
    """Places of the features that may decide."""
    protected = {f.name for f in spec.features if isinstance(f, AttributeFeature) and f.protected}
    return [place for place, name in enumerate(spec.names) if name not in protected]


def _check(spec: FeatureSpec, classifier: ClassifierSettings) -> None:
    """Raises TrainingError or AttributeSpecError for a spec that no bundle may be trained on."""
    AttributeMapping(spec)
    if protected := sorted({*spec.names} - {spec.names[place] for place in unprotected(spec)}):
        raise TrainingError(
            f"{', '.join(protected)} must not decide on credit, the feature spec says: train on a spec without."
        )
    if classifier.chosen_inputs and len(spec.features) != classifier.chosen_inputs:
        raise TrainingError(
            f"The reference network reads {classifier.chosen_inputs} inputs, the feature spec has {len(spec.features)}: "
            "choose some with --choose, or train --classifier wide."
        )
    if classifier.chosen_inputs and spec.embedded:
        named = ", ".join(spec.names[place] for place in spec.embedded)
        raise TrainingError(
            f"The reference network reads numbers, and the values of {named} are embedded: learn them with encode: rate or "
            "frequency, or train --classifier wide."
        )


def _fit(settings: CreditSettings, cuts: Split, device: torch.device, progress: Progress) -> Fused:
    """Both networks with everything between them and a row of raw features. The VAE sees those who repaid alone."""
    train, validation = cuts.train, cuts.validation
    embedded = settings.spec.embedded
    encoding = fit_encoding(train.legitimate, values=present(train.features, embedded))
    standardisation = fit_standardisation(train.features, embedded)
    chosen = tuple(range(settings.classifier.chosen_inputs))
    inputs = ClassifierInputs(encoding, standardisation, chosen)
    classifier = fit_classifier(inputs, train, validation, sized(settings.classifier, len(train)), device, progress)
    calibration = calibrate(Logit(inputs, classifier), validation, settings.classifier.calibration)
    vae = fit_vae(encoding, train.legitimate, validation.legitimate, settings.vae, device, progress)
    errors = reconstruction_errors(vae, inputs.encode(torch.from_numpy(validation.legitimate)))
    curve = fit_percentiles(errors.numpy())
    return Fused(encoding, standardisation, classifier, calibration, vae, curve, chosen).eval()


def model_scores(model: Fused, features: NDArray[np.float32]) -> Scores:
    """What the exported graph will say of float32[n, F]."""
    with torch.no_grad():
        parts = [model(rows)[:3] for rows in torch.from_numpy(features).split(8192)]
    return Scores(*(torch.cat(columns).numpy() for columns in zip(*parts, strict=True)))


def credit_thresholds(scores: Scores, defaulted: NDArray[np.bool_], settings: CreditSettings) -> Thresholds:
    """From which probability on to decline, by the objective; from which percentile on to refer, by the share."""
    chosen = choose_thresholds(scores.probability, scores.anomaly_percentile, settings.objective, defaulted)
    rest = scores.anomaly_percentile[scores.probability < np.float32(chosen.probability)]
    referred = np.quantile(rest, 1.0 - settings.refer_share, method="higher") if len(rest) else 100.0
    match settings.objective:
        case CostMatrix(missed, refused):
            words = f"the least cost on validation: a default granted at {missed:g}, a good applicant declined at {refused:g}"
        case AmountCosts(refused):
            words = f"the least cost on validation: a default granted at its amount, a good applicant declined at {refused:g}"
        case PrecisionFloor(floor):
            words = f"the most applications declined on validation of which {floor:.0%} at least default"
        case RecallFloor(floor):
            words = f"the fewest applications declined on validation among which are {floor:.0%} of the defaults"
        case AlertsPerDay(count):
            words = f"{count:g} applications declined a day on validation, at most"
        case AlertBudget(share):
            words = f"{share:.2%} of all applications declined on validation, at most"
    return Thresholds(
        probability=chosen.probability,
        anomaly_percentile=float(referred),
        objective=f"{words}; {settings.refer_share:.2%} of the others referred to a person",
    )


def _reference(settings: CreditSettings, cuts: Split, on_validation: Scores, thresholds: Thresholds) -> Reference:
    """Distributions over all who applied, on validation; medians, and a drawn few rows, of those approved who repaid.

    Reasons compare with the latter. Drift is measured on all who apply, so its reference is no selection by the outcome.
    """
    approved = (
        ~cuts.validation.is_fraud
        & (on_validation.probability < np.float32(thresholds.probability))
        & (on_validation.anomaly_percentile < np.float32(thresholds.anomaly_percentile))
    )
    if not approved.any():
        raise TrainingError("The thresholds approve no one on validation: choose another objective.")
    rows = cuts.validation.features[approved]
    drawn = np.random.default_rng(settings.seed).permutation(len(rows))[:BACKGROUND_ROWS]
    background = tuple(tuple(row) for row in rows[np.sort(drawn)].tolist())
    everyone = build_reference(settings.spec, cuts.validation.features, on_validation)
    features = tuple(
        feature.model_copy(update={"median": median})
        for feature, median in zip(everyone.features, medians(settings.spec, rows), strict=True)
    )
    return everyone.model_copy(update={"features": features, "background": background, "of_everyone": True})


def recorded(settings: CreditSettings) -> dict[str, JsonValue]:
    """The settings as the manifest records them, beside what it has fields for. `restored` takes them back."""
    flat: dict[str, JsonValue] = _SETTINGS.dump_python(
        settings, mode="json", exclude={"spec": True, "seed": True, "version": True, "vae": not_recorded(settings.vae)}
    )
    return flat


def restored(manifest: Manifest) -> CreditSettings:
    """The settings that a bundle was trained with."""
    identity = {"spec": manifest.feature_spec, "seed": manifest.training.seed, "version": manifest.version}
    return _SETTINGS.validate_python({**manifest.training.settings, **identity})
