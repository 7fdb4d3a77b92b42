"""Whether a bundle may be released: it beats chance, and its report and figures are those of its own thresholds and model.

What speaks against it has a name, so that a person who releases it all the same must say which of them is accepted.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import NamedTuple

from models.bundle.files import HELD_OUT, MODEL, REFERENCE, BundleError
from models.bundle.load import Bundle
from schemas.manifest import Fault, Manifest

NORMAL_95 = 1.96
CHANCE = 0.5

LOGISTIC = "logistic_average_precision"
"""The figure of a logistic regression on the same inputs and cuts, where the trainer fitted one."""

LOGISTIC_MARGIN = 0.1
"""Part of what the logistic regression is above a guess, in average precision, that a model may be below it."""

_NOT_STATED = {"files", "statement", "accepted", "owner", "licence", "permitted_use"}
"""Fields that the statement leaves out: what it is kept in, and what may be written by hand before a signature."""


class Objection(NamedTuple):
    """One thing that speaks against a bundle: the name to accept it by, and a sentence."""

    fault: Fault
    sentence: str


def statement(manifest: Manifest, model: bytes, reference: bytes, held_out: bytes | None = None) -> str:
    """SHA-256 (hex) over what the figures and the report are of: thresholds, figures, origin, features, graph, reference."""
    content = {
        "manifest": manifest.model_dump(mode="json", exclude=_NOT_STATED, exclude_none=True),
        MODEL: hashlib.sha256(model).hexdigest(),
        REFERENCE: hashlib.sha256(reference).hexdigest(),
    }
    if held_out is not None:
        content[HELD_OUT] = hashlib.sha256(held_out).hexdigest()
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def report_mark(digest: str) -> str:
    """How a report names the statement that it is of."""
    return f'<meta name="assay-statement" content="{digest}">'


def unfit(manifest: Manifest) -> list[Objection]:
    """What speaks against writing a bundle at all: no better than a constant, or far below a logistic regression."""
    return [objection for objection in _of_figures(manifest) if objection.fault in ("constant", "logistic")]


def objections(bundle: Bundle) -> list[Objection]:
    """What speaks against releasing a bundle; nothing for a sound one."""
    return [*_of_figures(bundle.manifest), *_of_belonging(bundle)]


def check_release(bundle: Bundle, accepted: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults that the bundle has and that are accepted. Raises BundleError where one is not."""
    found = objections(bundle)
    refused = [objection for objection in found if objection.fault not in accepted]
    if refused:
        name = f"{bundle.manifest.name}/{bundle.manifest.version}"
        flags = " ".join(f"--accept {objection.fault}" for objection in refused)
        raise BundleError(
            f"{name} is not released: {'; '.join(objection.sentence for objection in refused)}. Where that is meant, "
            f"say so with {flags}."
        )
    return tuple(objection.fault for objection in found)


def _of_figures(manifest: Manifest) -> list[Objection]:
    """Against chance, a constant, and a logistic regression."""
    figures, found = manifest.metrics, []
    base = figures.get("fraud_share", figures.get("default_share"))
    needed = ("roc_auc", "average_precision", "brier")
    if base is None or any(name not in figures for name in needed):
        return [Objection("chance", "its manifest has no figures that show it to be better than chance")]
    auc, precision, brier = (figures[name] for name in needed)
    low, interval = _lowest_auc(manifest, base)
    if not low > CHANCE:
        found.append(Objection("chance", f"its ROC AUC of {auc:.3f} {interval}, which is no better than chance"))
    elif not precision > base:
        found.append(
            Objection("chance", f"its average precision of {precision:.4f} is not above {base:.4f}, that of a guess")
        )
    if not brier < base * (1.0 - base):
        found.append(
            Objection(
                "constant", f"its Brier score of {brier:.5f} is not below {base * (1.0 - base):.5f}, that of a constant"
            )
        )
    logistic = figures.get(LOGISTIC, 0.0)
    if logistic > base and precision - base < (1.0 - LOGISTIC_MARGIN) * (logistic - base):
        why = (
            f"its average precision of {precision:.3f} is below {logistic:.3f}, that of a logistic regression on the same "
            f"inputs, by more than {LOGISTIC_MARGIN:.0%} of what the latter is above a guess"
        )
        found.append(Objection("logistic", why))
    return found


def _lowest_auc(manifest: Manifest, base: float) -> tuple[float, str]:
    """Lower end of the interval, and the interval in words: as measured, or by Hanley and McNeil's formula (1982)."""
    auc, evaluation = manifest.metrics["roc_auc"], manifest.evaluation
    measured = evaluation.models[0].figures.get("roc_auc") if evaluation and evaluation.models else None
    if measured is not None:
        if measured.too_few:
            return -math.inf, "has no interval, the test cut being too small"
        return measured.low, f"has the 95 % interval {measured.low:.3f} to {measured.high:.3f}"
    positives = base * manifest.training.test_records
    negatives = manifest.training.test_records - positives
    if min(positives, negatives) < 1.0:
        return -math.inf, "has no interval, the test cut being too small"
    one, two = auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc)
    variance = auc * (1.0 - auc) + (positives - 1.0) * (one - auc * auc) + (negatives - 1.0) * (two - auc * auc)
    half = NORMAL_95 * math.sqrt(max(0.0, variance) / (positives * negatives))
    return auc - half, f"has the 95 % interval {auc - half:.3f} to {auc + half:.3f}"


def _of_belonging(bundle: Bundle) -> list[Objection]:
    """Figures and report against thresholds and model."""
    manifest, report = bundle.manifest, bundle.report
    if manifest.statement is None:
        return _of_before(bundle)
    if manifest.statement != statement(manifest, bundle.model, bundle.reference_json, bundle.held_out):
        why = (
            "its thresholds, figures, graph or reference were changed after they were measured: `assay bundle "
            "thresholds` makes a version with other thresholds from the bundle as it was, `assay train` another model"
        )
        return [Objection("figures", why)]
    if report is not None and report_mark(manifest.statement).encode() not in report:
        return [Objection("report", "its report.html is of another bundle than its manifest")]
    return []


def _of_before(bundle: Bundle) -> list[Objection]:
    """A bundle without a statement: its report must name the very graph, data, thresholds and figures."""
    manifest = bundle.manifest
    if bundle.report is None:
        return [Objection("figures", "it has neither a statement nor a report that its figures could be held against")]
    text, thresholds = bundle.report.decode("utf-8", "replace"), manifest.thresholds
    named = [
        hashlib.sha256(bundle.model).hexdigest(),
        manifest.training.data_digest,
        f"probability {thresholds.probability:.4f} on",
        f"percentile {thresholds.anomaly_percentile:.3f} on",
        *(f">{value:.5f}<" for value in manifest.metrics.values()),
    ]
    if all(words in text for words in named):
        return []
    return [Objection("report", "its report.html has other thresholds, figures, data or graph than its manifest")]
