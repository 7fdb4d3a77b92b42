"""Golden rows: the same questions to the model at training and wherever it is loaded, with the same answers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.bundle.files import BundleError
from models.bundle.graph import FEATURE_ERRORS
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from schemas.golden import Golden
from schemas.reference import Reference

GOLDEN_ROWS = 16

TOLERANCE = 1e-4
"""Processors and devices round otherwise; a wrong weight or operator shows far above. Relative above 1; percentiles: of 100."""


def golden_of(
    rows: NDArray[np.float32], scores: Scores, feature_errors: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Golden:
    """A few of float32[n, F], spread over all of them, with their answers, as the bundle keeps them.

    feature_errors: the errors of each feature of rows. Raises BundleError where an answer is not a number.
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int))
    errors = feature_errors(np.ascontiguousarray(rows[chosen]))
    answers = {name: column[chosen] for name, column in zip(Scores._fields, scores, strict=True)}
    answers[FEATURE_ERRORS] = errors
    for name, answer in answers.items():
        if not np.isfinite(answer).all():
            raise BundleError(
                f"the model's {name} of a golden row is no number: look at its weights and rows.", "golden"
            )
    return Golden(
        rows=tuple(tuple(row) for row in rows[chosen].tolist()),
        probability=tuple(answers["probability"].tolist()),
        reconstruction_error=tuple(answers["reconstruction_error"].tolist()),
        anomaly_percentile=tuple(answers["anomaly_percentile"].tolist()),
        feature_errors=tuple(tuple(row) for row in errors.tolist()),
    )


def spread_rows(reference: Reference) -> NDArray[np.float32]:
    """Rows over the whole range of each feature, float32[GOLDEN_ROWS, F], from the bundle's own reference alone."""
    columns = [
        [histogram.edges[(row * (place + 3)) % len(histogram.edges)] for row in range(GOLDEN_ROWS)]
        for place, histogram in enumerate(reference.features)
    ]
    return np.array(columns, np.float32).T.copy()


def check_golden(session: ModelSession) -> float:
    """Score the bundle's golden rows; the largest difference of any output, in the terms of TOLERANCE.

    Raises BundleError where there are no rows, where an answer is not a number, or where the difference is too large.
    """
    bundle = session.bundle
    name = f"{bundle.manifest.name}/{bundle.manifest.version}"
    if bundle.golden is None:
        raise BundleError(f"{name} has no golden rows to check it with: add them with `assay bundle golden`.", "golden")
    rows = np.array(bundle.golden.rows, np.float32)
    answers = {**session.run(rows)._asdict(), FEATURE_ERRORS: session.feature_errors(rows)}
    difference = 0.0
    for output, answer in answers.items():
        shape = rows.shape if output == FEATURE_ERRORS else (len(rows),)
        if answer.shape != shape or not np.isfinite(answer).all():
            raise BundleError(f"{name} answers to its golden rows with a {output} that is no number.", "golden")
        expected = getattr(bundle.golden, output)
        if expected is not None:  # older bundles keep no feature errors
            difference = max(difference, _difference(output, answer, np.array(expected, np.float64)))
    if not difference <= TOLERANCE:
        raise BundleError(
            f"{name} does not score its golden rows as it did when it was made: they differ by {difference:.1e}, more than "
            f"{TOLERANCE:.0e}; look at its export, or at this machine's ONNX Runtime.",
            "golden",
        )
    return difference


def _difference(output: str, answer: NDArray[np.float32], expected: NDArray[np.float64]) -> float:
    """The largest; NaN where one is."""
    scale = np.full_like(expected, 100.0) if output == "anomaly_percentile" else np.maximum(1.0, np.abs(expected))
    return float(np.max(np.abs(answer.astype(np.float64) - expected) / scale))
