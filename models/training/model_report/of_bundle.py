"""The report of a bundle that a trainer is about to pack, from what the trainer has in memory."""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks.fused import Fused
from models.scoring.scores import Scores
from models.scoring.tree_reasons import boxes_of
from models.training.data import Dataset
from models.training.model_report.inputs import ReportInput, Tested, Words
from models.training.model_report.page import model_report
from schemas.manifest import Manifest
from schemas.reference import Reference

ROWS = 8192
"""Encoded at a time."""


def bundle_report(
    manifest: Manifest,
    graph: bytes,
    reference: Reference,
    model: Fused,
    run: Callable[[NDArray[np.float32]], Scores],
    test: Dataset,
    words: Words,
    scenarios: Mapping[int, str] | None = None,
) -> bytes:
    """`report.html`. run: the model's scores of rows. test: rows that it was not trained on.

    scenarios: kinds of positives by their number in `test`; None where the rows have neither kinds nor days nor cards.
    """
    features = manifest.feature_spec.features
    by_day = scenarios is not None
    tested = Tested(
        truth=test.is_fraud,
        features=test.features,
        scores=run(test.features),
        latent=_latent_means(model, test.features),
        day=test.day if by_day else None,
        scenario=test.scenario if by_day else None,
        card=test.card if by_day else None,
        amount=test.amount if by_day else None,
    )
    return model_report(
        ReportInput(
            manifest=manifest,
            reference=reference,
            descriptions=tuple(feature.words() for feature in features),
            run=run,
            test=tested,
            words=words,
            graph_digest=hashlib.sha256(graph).hexdigest(),
            value_words=lambda feature, value: features[feature].value_words(value),
            scenarios=scenarios or {},
            trees=boxes_of(graph),
        )
    )


def _latent_means(model: Fused, features: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        parts = [model.vae.encode(model.inputs.encode(rows))[0] for rows in torch.from_numpy(features).split(ROWS)]
    return np.asarray(torch.cat(parts).numpy())
