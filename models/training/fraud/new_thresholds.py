"""A bundle's next version with other thresholds: chosen on its validation scores, measured on its test scores."""

import hashlib
import re
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from models.bundle.files import BundleError
from models.bundle.load import Bundle
from models.bundle.pack import pack_bundle, stated
from models.bundle.verdict import statement
from models.scoring.scores import Scores
from models.training.data import Dataset
from models.training.fraud.evaluation import error_unit, evaluate
from models.training.fraud.held_out import restored
from models.training.fraud.history import SIMULATED
from models.training.fraud.tables import day_groups
from models.training.model_report.blocks import Section
from models.training.model_report.inputs import FRAUD, ReportInput, Tested
from models.training.model_report.page import model_report
from models.training.results.tables import SCENARIOS
from models.training.thresholds import Objective, choose_thresholds, classifier_thresholds
from schemas.manifest import Manifest, Thresholds

KEPT = ("calibration", "importance", "latent", "drift", "comparison")
"""Sections of a report that say nothing of thresholds, but for the alerts' reasons, which say so."""

_SECTION = re.compile(
    r'<section id="(\w+)" aria-labelledby="\w+-title">\n<h2[^>]*>([^<]*)</h2>\n.*?</section>', re.DOTALL
)


def with_thresholds(bundle: Bundle, version: int, asked: Objective | Thresholds, out: Path) -> Manifest:
    """Pack the bundle's version `version` with other thresholds into the directory `out`, unsigned.

    asked: thresholds, or what they are to reach on the validation cut. Figures, tables and report are measured on the test cut.
    Raises BundleError where the bundle cannot be measured again, ObjectiveError where nothing reaches what is asked.
    """
    (validation, on_validation), (test, on_test) = _held_out(bundle)
    old = bundle.manifest
    if isinstance(asked, Thresholds):
        if not old.has_anomaly and asked.anomaly_percentile != old.thresholds.anomaly_percentile:
            raise BundleError(f"{old.name}/{old.version} has no anomaly score: give --probability alone.")
        thresholds = asked
    else:
        days = len(np.unique(validation.day))
        truth = validation.is_fraud
        probability = on_validation.probability
        thresholds = (
            choose_thresholds(probability, on_validation.anomaly_percentile, asked, truth, days, validation.amount)
            if old.has_anomaly
            else classifier_thresholds(probability, asked, truth, days, validation.amount)
        )
    evaluation = old.evaluation and old.evaluation.model_copy(update={"by_day": day_groups(test, on_test, thresholds)})
    manifest = old.model_copy(
        update={
            "version": version,
            "thresholds": thresholds,
            "metrics": old.metrics
            | evaluate(test, on_test, thresholds, has_anomaly=old.has_anomaly, error=error_unit(old.metrics)),
            "evaluation": evaluation,
            "accepted": None,
            "statement": None,
        }
    )
    manifest = stated(manifest, bundle.model, bundle.reference, bundle.held_out)
    report = _report(bundle, manifest, test, on_test)
    pack_bundle(out, manifest, bundle.model, bundle.reference, report, bundle.golden, bundle.held_out)
    return manifest


def _held_out(bundle: Bundle) -> tuple[tuple[Dataset, Scores], tuple[Dataset, Scores]]:
    manifest = bundle.manifest
    name = f"{manifest.name}/{manifest.version}"
    if manifest.product != "fraud":
        raise BundleError(
            f"{name} is a credit bundle, whose reference is of the applicants that its thresholds approve: train it again with "
            "`assay train credit --objective ...`."
        )
    if bundle.held_out is None:
        raise BundleError(
            f"{name} carries no scores that new thresholds could be measured on (it was trained earlier, or its cuts "
            "are too long to carry): train it again with `assay train fraud --objective ...`."
        )
    if manifest.statement != statement(manifest, bundle.model, bundle.reference_json, bundle.held_out):
        raise BundleError(
            f"{name} was changed after it was measured: give the bundle as the trainer, or this command, wrote it."
        )
    return restored(bundle.held_out)


def _report(bundle: Bundle, manifest: Manifest, test: Dataset, on_test: Scores) -> bytes:
    features = manifest.feature_spec.features
    data = ReportInput(
        manifest=manifest,
        reference=bundle.reference,
        descriptions=tuple(feature.words() for feature in features),
        run=_unused,
        test=Tested(
            truth=test.is_fraud,
            features=test.features,
            scores=on_test,
            day=test.day,
            scenario=test.scenario,
            card=test.card,
            amount=test.amount,
        ),
        words=FRAUD,
        graph_digest=hashlib.sha256(bundle.model).hexdigest(),
        scenarios=SCENARIOS if manifest.training.data == SIMULATED else {},
    )
    return model_report(data, _kept(bundle))


def _unused(_features: NDArray[np.float32]) -> Scores:
    raise AssertionError("sections that score rows are kept")


def _kept(bundle: Bundle) -> dict[str, Section | None]:
    """The old report's sections that need the features; what hangs on the old thresholds says which they are."""
    page = (bundle.report or b"").decode("utf-8", "replace")
    found = {name: (title, match) for match, name, title in _sections(page)}
    old = bundle.manifest.thresholds
    note = (
        f"<p>Measured with version {bundle.manifest.version}. What it says of alerts is of that version's thresholds: "
        f"probability {old.probability:.4f}, anomaly percentile {old.anomaly_percentile:.3f}.</p>"
    )
    kept: dict[str, Section | None] = dict.fromkeys(KEPT)
    for name in kept.keys() & found.keys():
        title, html = found[name]
        marked = html if name != "importance" else html.replace("</h2>\n", f"</h2>\n{note}\n", 1)
        kept[name] = Section(name, str(Markup(title).unescape()), (), html=Markup(marked))  # noqa: S704  (our own page)
    return kept


def _sections(page: str) -> list[tuple[str, str, str]]:
    return [(match.group(0), match.group(1), match.group(2)) for match in _SECTION.finditer(page)]
