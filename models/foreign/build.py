"""A bundle around somebody's classifier: read `build_bundle` from top to bottom.

The file's own nodes are run beside the joined graph on every row of the reference data, so a bundle says what the model said.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bundle.graph import FEATURE_ERRORS, INPUT
from models.bundle.load import Bundle
from models.bundle.pack import pack_bundle, stated
from models.foreign.join import joined
from models.foreign.reading import Foreign, ForeignModelError, answers_of, original, read_model
from models.foreign.reference_data import ReferenceData, read_reference
from models.scoring.child_check import check_in_child
from models.scoring.devices import open_session
from models.scoring.golden import golden_of
from models.scoring.scores import Scores
from models.scoring.tree_reasons import boxes_of
from models.sources.fits import misfit
from models.training.code_version import code_version
from models.training.fraud.evaluation import error_unit, evaluate
from models.training.fraud.held_out import carried
from models.training.fraud.tables import ANOMALY, build_evaluation
from models.training.model_report.inputs import FRAUD, ReportInput, Tested
from models.training.model_report.page import model_report
from models.training.reference import build_reference
from models.training.thresholds import AlertBudget, Objective, choose_thresholds, classifier_thresholds, parse_objective
from schemas.evaluation import Evaluation
from schemas.feature_spec import FeatureSpec
from schemas.manifest import Manifest, Thresholds, TrainingRun
from schemas.reference import Reference
from schemas.source_spec import SourceSpec

__all__ = ["BuildSettings", "build_bundle", "parse_objective"]

AGREEMENT = 1e-5
"""The joined graph and the file's own nodes: some operators are rewritten, and round in another order."""

EXPECTED_AGREEMENT = 1e-4
"""The bundle and the model's own library, which may compute in double: as golden rows are held to."""

BEYOND = 1e-5
"""How far beyond 0 and 1 a probability may be by rounding."""

ROWS = 1024
"""Asked at once."""

EPOCH = date(1970, 1, 1)
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn")


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What a person says of the model. positive, output: which class and output it is, where the file leaves it open."""

    spec: FeatureSpec
    objective: Objective
    label: str = "is_fraud"
    positive: str | None = None
    output: str | None = None
    expected: str | None = None
    name: str = "fraud"
    version: int = 1
    owner: str = "The user who built it from their own model"
    licence: str = "As the model that it was built from"
    permitted_use: str = "Scoring payments of the kind that the model was trained on, after a review of its figures."
    source: SourceSpec | None = None
    described: str | None = None
    anomaly: Bundle | None = None


def build_bundle(model: Path, data: Path, out: Path, settings: BuildSettings) -> Manifest:
    """Read the model, join it, measure it on the data and pack the bundle, unsigned. Raises ValueError's kinds, one sentence
    each.
    """
    spec = settings.spec
    if problem := misfit(spec, settings.source):
        if spec.of_applications and settings.source is None:
            problem = "The feature spec is of applications; bundles of other libraries' models score payments."
        raise ForeignModelError(problem)
    content = _content(model)
    foreign = read_model(content, len(spec.names), settings.output)
    rows = read_reference(data, spec, settings.label, settings.expected)
    anomaly = _anomaly_graph(settings)
    graph, column = joined(foreign, len(spec.names), settings.positive, anomaly)
    run, errors = _running(graph)
    said = _own_answers(foreign, rows.features, column)
    _check_same(said, run(rows.features).probability, rows, settings.expected)

    on_validation = run(rows.chosen_on.features)
    thresholds = _thresholds(on_validation, settings, rows)
    on_test = run(rows.measured_on.features)
    manifest = _manifest(settings, thresholds, rows, on_test, _origin(foreign, model, content, data, rows, settings))
    legitimate = rows.chosen_on.legitimate
    reference = build_reference(spec, legitimate, run(legitimate))
    held_out = carried((rows.chosen_on, on_validation), (rows.measured_on, on_test), rows.first_day)
    manifest = stated(manifest, graph, reference, held_out)
    golden = golden_of(rows.measured_on.features, on_test, errors)
    check_in_child(Bundle(manifest, graph, reference, "", golden=golden))
    report = _report(manifest, graph, reference, run, rows, on_test)
    pack_bundle(out, manifest, graph, reference, report, golden, held_out)
    return manifest


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ForeignModelError(f"{path} cannot be read ({error.strerror}): give the path of an ONNX file.") from None


def _own_answers(foreign: Foreign, features: NDArray[np.float32], column: int | None) -> NDArray[np.float32]:
    """What the file's own nodes say of float32[n, F], float32[n]. column: of the positive class, where there are two."""
    session = original(foreign)
    parts = [answers_of(session, features[start : start + ROWS]) for start in range(0, len(features), ROWS)]
    answers = np.concatenate(parts)
    said = answers.reshape(-1) if column is None else answers[:, column]
    low, high = float(said.min()), float(said.max())
    if not (low >= -BEYOND and high <= 1.0 + BEYOND):  # NaN is neither
        raise ForeignModelError(
            f"The model answers from {low:.4g} to {high:.4g}, which are no probabilities: end the export with a sigmoid."
        )
    return said


def _running(
    graph: bytes,
) -> tuple[Callable[[NDArray[np.float32]], Scores], Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
    """The walked graph's scores of float32[n, F], and its errors of each feature."""
    session = open_session(graph, ["CPUExecutionProvider"])

    def run(features: NDArray[np.float32]) -> Scores:
        parts = [
            session.run(Scores._fields, {INPUT: features[start : start + ROWS]})
            for start in range(0, len(features), ROWS)
        ]
        return Scores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def errors(features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run([FEATURE_ERRORS], {INPUT: features})[0])

    return run, errors


def _check_same(
    said: NDArray[np.float32], probability: NDArray[np.float32], rows: ReferenceData, expected: str | None
) -> None:
    """The joined graph against the file's nodes, and against the library's own probabilities where the data has them."""
    apart = float(np.abs(said - probability).max())
    if not apart <= AGREEMENT:
        raise ForeignModelError(
            f"The bundle's graph and the model differ by {apart:.2e} on the rows of the data, more than {AGREEMENT:.0e}: this "
            "model cannot be taken as it is."
        )
    if rows.expected is None:
        return
    differences = np.abs(rows.expected - probability)
    if not (differences <= EXPECTED_AGREEMENT).all():
        raise ForeignModelError(
            f"{int((~(differences <= EXPECTED_AGREEMENT)).sum())} of {len(differences)} rows have another probability in "
            f"{expected} than the exported model gives, by {float(differences.max()):.2e} at most, more than "
            f"{EXPECTED_AGREEMENT:.0e}: are the columns in the order of the feature spec, and is it the same model?"
        )


def _anomaly_graph(settings: BuildSettings) -> bytes | None:
    """The graph whose anomaly score is taken, where one is. Raises ForeignModelError where it is of other features."""
    other = settings.anomaly
    if other is None:
        return None
    name = f"{other.manifest.name}/{other.manifest.version}"
    if not other.manifest.has_anomaly:
        raise ForeignModelError(f"{name} has no anomaly score to take: give --anomaly-from a bundle that has one.")
    if (other.manifest.feature_spec, other.manifest.source) != (settings.spec, settings.source):
        raise ForeignModelError(
            f"{name} is of other features, or another source spec, than this model: train its like on this feature spec."
        )
    return other.model


def _thresholds(scores: Scores, settings: BuildSettings, rows: ReferenceData) -> Thresholds:
    days = len(np.unique(rows.chosen_on.day)) if rows.has_days else None
    truth, amount, objective = rows.chosen_on.is_fraud, rows.chosen_on.amount, settings.objective
    found = (
        classifier_thresholds(scores.probability, objective, truth, days, amount)
        if settings.anomaly is None
        else choose_thresholds(scores.probability, scores.anomaly_percentile, objective, truth, days, amount)
    )
    words = found.objective.replace("on validation", "on the first half of the reference data")
    return found.model_copy(update={"objective": words})


def _manifest(
    settings: BuildSettings, thresholds: Thresholds, rows: ReferenceData, scores: Scores, origin: TrainingRun
) -> Manifest:
    """scores: of the second half."""
    return Manifest(
        name=settings.name,
        version=settings.version,
        product="fraud",
        score_kinds=("classifier",) if settings.anomaly is None else ("classifier", "anomaly"),
        created_at_ms=rows.end_ms,
        owner=settings.owner,
        licence=settings.licence,
        permitted_use=settings.permitted_use,
        feature_spec=settings.spec,
        source=settings.source,
        thresholds=thresholds,
        training=origin,
        metrics=evaluate(
            rows.measured_on,
            scores,
            thresholds,
            has_anomaly=settings.anomaly is not None,
            error=error_unit(settings.anomaly.manifest.metrics) if settings.anomaly else "mse",
        ),
        evaluation=_evaluation(rows, scores, thresholds, settings),
        files={},
    )


def _evaluation(rows: ReferenceData, scores: Scores, thresholds: Thresholds, settings: BuildSettings) -> Evaluation:
    objective = settings.objective
    found = build_evaluation(
        rows.measured_on,
        scores,
        thresholds,
        {},
        seed=1,
        budget=objective if isinstance(objective, AlertBudget) else AlertBudget(),
        day_name=lambda day: (EPOCH + timedelta(days=rows.first_day + day)).isoformat(),
    )
    models = tuple(model for model in found.models if settings.anomaly is not None or model.model != ANOMALY)
    return found.model_copy(update={"models": models, "by_day": found.by_day if rows.has_days else ()})


def _origin(
    foreign: Foreign, model: Path, content: bytes, data: Path, rows: ReferenceData, settings: BuildSettings
) -> TrainingRun:
    halves = f"Trained elsewhere; thresholds and figures are of the two halves of {data.name}, in order of time."
    return TrainingRun(
        data=f"{settings.described} {halves}" if settings.described else halves,
        data_digest=rows.digest,
        train_records=0,
        validation_records=len(rows.chosen_on),
        test_records=len(rows.measured_on),
        seed=1,
        settings={
            "model": model.name,
            "model_sha256": hashlib.sha256(content).hexdigest(),
            "exported_by": foreign.producer[:200],
            "classes": list(foreign.labels),
            "positive": settings.positive,
            "compared_with": settings.expected,
            "anomaly_from": str(settings.anomaly.ref) if settings.anomaly else None,
        },
        libraries={name: version(name) for name in LIBRARIES},
        code=code_version(),
    )


def _report(
    manifest: Manifest,
    graph: bytes,
    reference: Reference,
    run: Callable[[NDArray[np.float32]], Scores],
    rows: ReferenceData,
    scores: Scores,
) -> bytes:
    features, test = manifest.feature_spec.features, rows.measured_on
    return model_report(
        ReportInput(
            manifest=manifest,
            reference=reference,
            descriptions=manifest.feature_spec.descriptions,
            run=run,
            test=Tested(
                truth=test.is_fraud,
                features=test.features,
                scores=scores,
                day=test.day if rows.has_days else None,
                card=test.card if rows.has_days else None,
            ),
            words=FRAUD,
            graph_digest=hashlib.sha256(graph).hexdigest(),
            limits=("The model was trained elsewhere: how, and on what, the bundle does not know.",),
            value_words=lambda feature, value: features[feature].value_words(value),
            trees=boxes_of(graph),
        )
    )
