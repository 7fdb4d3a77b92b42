"""What the stages hand to each other: which model scored, the outcome, and what to report about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.scoring.scores import Scores
from models.sources.events import Events
from schemas.alert import Reason
from schemas.manifest import Thresholds
from services.engine.batches import Record
from services.engine.placement import Subjects
from services.scorer.decide import Outcomes
from services.swapping.live import Identity

if TYPE_CHECKING:
    from services.scorer.ruling import Ruled

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shares:
    """Random shares by transaction id: of the decisions without alert that are recorded, of the alerts let through."""

    decisions: float
    control: float


@dataclass(frozen=True, slots=True)
class ChallengerScores:
    """The challenger's scores of a batch: they have no effect."""

    model: str
    scores: Scores
    alert: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored batch: parallel sequences, one entry an event."""

    records: Sequence[Record]
    events: Events
    features: Matrix
    late: NDArray[np.bool_]
    amount: NDArray[np.float64]
    event_time_ms: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]
    """When each input record was produced, ms since 1970 UTC."""
    scores: Scores
    outcomes: Outcomes
    reasons: dict[int, tuple[Reason, ...]]
    """By row in the batch, for alerts."""
    identity: Identity
    subjects: Subjects
    turnover: NDArray[np.int64]
    """int64[3]: new ids; ids forgotten without a history, and with one."""
    profiles_offset: int | None
    """The records of `terminal-profiles` below it were known; None where the features read none."""
    thresholds: Thresholds
    """Those that counted: the policy's, or the bundle's."""
    challenger: ChallengerScores | None = None
    ruled: "Ruled | None" = None
    """What the policy said, and the one in shadow; None where there is none."""
    shadow: "Ruled | None" = None
    lists_offset: int | None = None
    """The records of `lists` below it were known; None where nothing reads any."""
    routed: bool = False
    """Whether intake made the records: then what is made of them names the user's own, too."""
    without_reasons: frozenset[int] = frozenset()
    """Rows of alerts that came in a storm, beyond the bound of reasons."""
