"""Reasons for credit decisions: specific, from the factors scored, against applicants who were approved.

12 CFR 1002.9(b)(2) asks for the specific principal reasons, and its commentary takes more than four for unhelpful; a reason
must relate to a factor actually scored. A bundle's background rows are approved applicants, so a Shapley value says how much
a factor moved the score away from theirs. With eight inputs every coalition is tried: the values are exact.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.scoring.shapley import Session, explain
from schemas.alert import Reason, Trigger

COALITIONS_MAX = 2**8 - 2
"""All coalitions of eight inputs. More inputs are estimated by this many."""

ROWS_MAX = 65_536
"""Rows of one run of the model: bounds the memory that reasons take."""


def adverse_reasons(
    session: Session, rows: NDArray[np.float32], triggers: Sequence[Trigger]
) -> list[tuple[Reason, ...]]:
    """The principal reasons behind each decision, strongest first, four at most; ties go to the earlier feature.

    rows: float32[k, F], the features of the applications; triggers: the score that decided each.
    """
    background = len(session.bundle.reference.background)
    step = max(1, ROWS_MAX // (COALITIONS_MAX * background))
    found: list[tuple[Reason, ...]] = []
    for start in range(0, len(rows), step):
        part = [(trigger,) for trigger in triggers[start : start + step]]
        found += explain(session, rows[start : start + step], part, COALITIONS_MAX)
    return [tuple(_worded(session, reason) for reason in reasons) for reasons in found]


def _worded(session: Session, reason: Reason) -> Reason:
    """The reason in words that an applicant can read."""
    spec, reference = session.bundle.manifest.feature_spec, session.bundle.reference
    place = spec.names.index(reason.feature)
    feature, median = spec.features[place], reference.features[place].median
    text = (
        f"{feature.words()}: {feature.value_words(reason.value)} (approved applicants: {feature.value_words(median)})"
    )
    return reason.model_copy(update={"text": text})
