"""What Assay says of each transaction, on `scores`."""

from pydantic import Field

from schemas.base import EventTimeMs, Identifier, Message, ModelName, Percentile, Positive, Probability


class Score(Message):
    """Both scores of one transaction. A pure function of the log and the bundle: it holds no wall-clock time."""

    transaction_id: Identifier = Field(description="Id of the payment scored.")
    event_time_ms: EventTimeMs = Field(description="When the payment happened, ms since 1970 UTC.")
    card_id: Identifier = Field(description="Keyed pseudonym of the card.")
    probability: Probability = Field(description="Calibrated probability of fraud, from the classifier.")
    reconstruction_error: Positive = Field(
        description="Mean squared error of the VAE's reconstruction of the scaled features."
    )
    anomaly_percentile: Percentile = Field(
        description="Share of legitimate traffic with a smaller reconstruction error, in percent."
    )
    alert: bool = Field(description="Whether a threshold was crossed; then a record on `alerts` belongs to it.")
    model: ModelName = Field(description="Bundle name, version and execution provider that scored it: fraud/3@cpu.")
    late: bool = Field(
        False, description="Arrived later than the allowed lateness: scored, but not part of the history."
    )
    let_through: bool = Field(
        False,
        description="An alert of the control group: a system that blocks on alerts lets it pass, so that its label tells.",
    )
