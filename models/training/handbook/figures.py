"""What was measured on the handbook's payments, as a file: docs/handbook.json, from which the page is written."""

from pathlib import Path

from pydantic import Field

from models.training.handbook.windows import FOLDS
from schemas.base import Message
from schemas.evaluation import Estimate

FIGURES = ("roc_auc", "average_precision", "card_precision_at_100")


class Row(Message):
    """One model on one window."""

    window: str = Field(description="First day of the training week.")
    features: str = Field(description="Which features.")
    model: str = Field(description="Which model.")
    figures: dict[str, Estimate] = Field(description="Its figures by name.")

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies a row."""
        return self.window, self.features, self.model


class HandbookFigures(Message):
    """Every row, in the order in which they were measured."""

    libraries: dict[str, str] = Field(description="Versions of the libraries.")
    rows: tuple[Row, ...] = Field(description="The rows.")

    def on(self, window: str) -> list[Row]:
        """The rows of a window."""
        return [row for row in self.rows if row.window == window]

    def folds(self, features: str, model: str) -> list[Row]:
        """The rows of all folds; none where one is missing."""
        rows = [r for r in self.rows if (r.features, r.model) == (features, model) and r.window in FOLDS]
        return rows if len(rows) == len(FOLDS) else []


def read_figures(path: Path) -> HandbookFigures:
    """The figures in a file."""
    return HandbookFigures.model_validate_json(path.read_bytes())


def write_figures(path: Path, figures: HandbookFigures) -> None:
    """Write them, one line a value, so that a change shows in a diff."""
    path.write_text(figures.model_dump_json(indent=1) + "\n", encoding="utf-8")
