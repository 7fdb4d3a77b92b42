"""Golden rows: the same questions to the model at training and wherever it is loaded, with the same answers."""

import numpy as np
from numpy.typing import NDArray

from models.bundle.files import BundleError
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from schemas.golden import Golden
from schemas.reference import Reference

GOLDEN_ROWS = 16

TOLERANCE = 1e-4
"""Processors and devices round otherwise; a wrong weight or operator shows far above. Relative above 1; percentiles: of 100."""


def golden_of(rows: NDArray[np.float32], scores: Scores) -> Golden:
    """A few of float32[n, F], spread over all of them, with their scores, as the bundle keeps them."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int))
    return Golden(
        rows=tuple(tuple(row) for row in rows[chosen].tolist()),
        **{name: tuple(column[chosen].tolist()) for name, column in zip(Scores._fields, scores, strict=True)},
    )


def spread_rows(reference: Reference) -> NDArray[np.float32]:
    """Rows over the whole range of each feature, float32[GOLDEN_ROWS, F], from what the bundle knows of its traffic alone."""
    columns = [
        [histogram.edges[(row * (place + 3)) % len(histogram.edges)] for row in range(GOLDEN_ROWS)]
        for place, histogram in enumerate(reference.features)
    ]
    return np.array(columns, np.float32).T.copy()


def check_golden(session: ModelSession) -> float:
    """Score the bundle's golden rows; the largest difference, in the terms of TOLERANCE.

    Raises BundleError where there are none, or the difference is too large or no number.
    """
    bundle = session.bundle
    name = f"{bundle.manifest.name}/{bundle.manifest.version}"
    if bundle.golden is None:
        raise BundleError(f"{name} has no golden rows to check it with: add them with `assay bundle golden`.", "golden")
    found = session.run(np.array(bundle.golden.rows, np.float32))
    difference = max(
        float(np.max(np.abs(column - expected) / scale)) for column, expected, scale in _compared(found, bundle.golden)
    )
    if not difference <= TOLERANCE:
        raise BundleError(
            f"{name} does not score its golden rows as it did when it was made: they differ by {difference:.1e}, more than "
            f"{TOLERANCE:.0e}; look at its export, or at this machine's ONNX Runtime.",
            "golden",
        )
    return difference


def _compared(
    found: Scores, golden: Golden
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Found, expected and what a difference is relative to, for each column."""
    compared = []
    for name, column in zip(Scores._fields, found, strict=True):
        expected = np.array(getattr(golden, name), np.float64)
        scale = np.full_like(expected, 100.0) if name == "anomaly_percentile" else np.maximum(1.0, np.abs(expected))
        compared.append((column.astype(np.float64), expected, scale))
    return compared
