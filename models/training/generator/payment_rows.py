"""Legitimate payments as the rows that a generator of payments learns: from the simulator, or from a file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.files.options import ReadOptions
from models.generation.payments import MONDAY_OF_1970, WEEK_DAYS
from models.simulation.settings import SimulationSettings
from models.simulation.stream import DAY_S, generate
from models.training.data import TrainingError
from models.training.fraud.history import SIMULATED

DAY_MS = DAY_S * 1000
CARDS_HELD_OUT_ONE_IN = 5


@dataclass(frozen=True, slots=True)
class PaymentRows:
    """n payments. rows: float32[n, 4], `models.generation.payments.COLUMNS`. card: int64[n], from 0. source: in words."""

    rows: NDArray[np.float32]
    card: NDArray[np.int64]
    end_ms: int
    source: str

    def digest(self) -> str:
        """SHA-256 (hex) of all columns."""
        return hashlib.sha256(np.ascontiguousarray(self.rows).tobytes() + self.card.tobytes()).hexdigest()

    def held_out(self) -> NDArray[np.bool_]:
        """bool[n]: payments of the cards that a fit does not see; whole cards, since a card's payments resemble each other."""
        return self.card % CARDS_HELD_OUT_ONE_IN == 0


def payment_rows(
    card: NDArray[np.int64], event_time_ms: NDArray[np.int64], amount: NDArray[np.float64], source: str
) -> PaymentRows:
    """Rows of n payments; times are UTC. Raises TrainingError with fewer than a hundred cards."""
    cards, card = np.unique(card, return_inverse=True)
    if len(cards) < 100:
        raise TrainingError(
            f"{len(cards)} cards with legitimate payments are too few to learn from; give 100 at least."
        )
    mean = np.bincount(card, amount) / np.bincount(card)
    second = (event_time_ms // 1000) % DAY_S
    weekday = (event_time_ms // DAY_MS + MONDAY_OF_1970) % WEEK_DAYS
    rows = np.stack([amount, second, weekday, mean[card].round(2)], axis=1).astype(np.float32)
    return PaymentRows(rows, card.astype(np.int64), (int(event_time_ms.max()) // DAY_MS + 1) * DAY_MS, source)


def simulated_rows(settings: SimulationSettings) -> PaymentRows:
    """The simulator's legitimate payments."""
    days = [
        (np.array(day.card_id)[~day.is_fraud], day.event_time_ms[~day.is_fraud], day.amount[~day.is_fraud])
        for day in generate(settings)
    ]
    card, event_time_ms, amount = (np.concatenate(columns) for columns in zip(*days, strict=True))
    _, number = np.unique(card, return_inverse=True)
    return payment_rows(number, event_time_ms, amount, f"{SIMULATED} Legitimate ones alone.")


def file_rows(
    path: Path, names: Mapping[str, str], label: str | None, options: ReadOptions | None = None
) -> PaymentRows:
    """The legitimate payments of a CSV or Parquet file. label: the column that says which are frauds, if there is one.

    Raises TableError, or TrainingError where too little is left.
    """
    from models.files.payments import PLAIN, read
    from models.training.fraud.file_history import usable

    fields = usable(read(path, names, label, options=options or PLAIN))
    fields = fields.filter(~fields["is_fraud"])
    if fields.is_empty():
        raise TrainingError(
            f"{path} holds no legitimate payment that could be scored: look at its times, ids and amounts."
        )
    _, card = np.unique(fields["card_id"].to_numpy().astype(str), return_inverse=True)
    times, amounts = fields["event_time_ms"].to_numpy(), fields["amount"].to_numpy()
    return payment_rows(card, times, amounts, f"Legitimate payments of the file {path.name}.")
