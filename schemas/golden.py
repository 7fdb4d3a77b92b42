"""What a bundle's model answers to a few rows: `golden.json`, asked again wherever the model is loaded."""

from typing import Annotated

from pydantic import Field, model_validator

from schemas.base import FeatureVector, Message, Number

GOLDEN_ROWS_MAX = 64

Column = Annotated[tuple[Number, ...], Field(min_length=1, max_length=GOLDEN_ROWS_MAX)]

Rows = Annotated[tuple[FeatureVector, ...], Field(min_length=1, max_length=GOLDEN_ROWS_MAX)]


class Golden(Message):
    """Rows of raw features and the answers of the networks that the graph was exported from."""

    rows: Rows = Field(description="Feature rows, in the feature spec's order.")
    probability: Column = Field(description="Expected probability of each row.")
    reconstruction_error: Column = Field(description="Expected reconstruction error of each row.")
    anomaly_percentile: Column = Field(description="Expected anomaly percentile of each row.")
    feature_errors: Rows | None = Field(None, description="Expected errors of each row, one for each feature.")

    @model_validator(mode="after")
    def _one_answer_for_each_row(self) -> "Golden":
        answers = (self.probability, self.reconstruction_error, self.anomaly_percentile)
        if {len(column) for column in answers} != {len(self.rows)}:
            raise ValueError(f"{len(self.rows)} rows need as many answers in each column")
        errors = self.feature_errors
        if errors is not None and [len(row) for row in errors] != [len(row) for row in self.rows]:
            raise ValueError("feature_errors needs one error for each feature of each row")
        return self
