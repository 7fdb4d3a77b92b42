"""A bundle's description of itself: `manifest.json`."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from schemas.base import Count, Digest, EventTimeMs, LargeCount, Line, Message, Number, Percentile, Probability, Version
from schemas.evaluation import Evaluation
from schemas.feature_spec import FeatureSpec
from schemas.source_spec import SourceSpec

Key = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=10_000)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$", max_length=100)]
"""Without a part of a path."""
Settings = Annotated[dict[Key, JsonValue], Field(max_length=1_000)]
Libraries = Annotated[dict[Key, Key], Field(max_length=1_000)]
Figures = Annotated[dict[Key, Number], Field(max_length=1_000)]
Files = Annotated[dict[FileName, Digest], Field(max_length=100)]
Product = Literal["fraud", "credit"]
ScoreKind = Literal["classifier", "anomaly"]
ScoreKinds = Annotated[tuple[ScoreKind, ...], Field(min_length=1, max_length=2)]
Fault = Literal["chance", "constant", "logistic", "figures", "report"]
"""What may speak against a bundle: no better than chance, than a constant; far below a logistic regression; figures, a report
that are not its own."""

Faults = Annotated[tuple[Fault, ...], Field(max_length=5)]
"""Several of these."""


class Thresholds(Message):
    """From which score on an alert is raised, and why there."""

    probability: Probability = Field(description="Alert from this probability on.")
    anomaly_percentile: Percentile = Field(description="Alert from this percentile on.")
    objective: Text = Field(description="What they were chosen for, on which data.")


class TrainingRun(Message):
    """Where the model comes from."""

    data: Text = Field(description="What it was trained on, in words.")
    data_digest: Digest = Field(description="SHA-256 of the training data's columns.")
    train_records: Count = Field(description="Transactions in the training cut.")
    validation_records: Count = Field(description="Transactions in the validation cut.")
    test_records: Count = Field(description="Transactions in the test cut.")
    seed: LargeCount = Field(description="Seed of every random draw.")
    settings: Settings = Field(description="Everything else that the run was started with.")
    libraries: Libraries = Field(description="Versions of the libraries that trained it.")
    code: Text = Field(
        "unknown", description="Version of the code that trained it, with its commit where there is one."
    )


class Manifest(Message):
    """Identity, contract and origin of a bundle."""

    format_version: Literal[1] = Field(1, description="Version of the bundle's layout.")
    name: Line = Field(description="Name of the model line.")
    version: Version = Field(description="Grows with each release of the line.")
    product: Product = Field(description="What it scores.")
    score_kinds: ScoreKinds | None = Field(
        None,
        description="Which kinds of score it has: without `anomaly` the error and the percentile are 0. Default: both.",
    )
    created_at_ms: EventTimeMs = Field(
        description="Given by the trainer; the same run with the same seed gives the same."
    )
    owner: Text = Field(description="Who answers for it.")
    licence: Text = Field(description="Under which licence it may be used.")
    permitted_use: Text = Field(description="What it may be used for.")
    feature_spec: FeatureSpec = Field(description="The features that the graph expects, in order.")
    source: SourceSpec | None = Field(
        None,
        description="What the events are that it scores, and how they are read. Default: Assay's own `transactions`.",
    )
    thresholds: Thresholds = Field(description="When to alert.")
    training: TrainingRun = Field(description="Where it comes from.")
    metrics: Figures = Field(description="Measured on the test cut; gan_: by the GAN's gate, on validation.")
    evaluation: Evaluation | None = Field(None, description="The same cut in tables, with intervals.")
    statement: Digest | None = Field(
        None,
        description="SHA-256 over thresholds, figures, origin, features, graph and reference: what the report is of.",
    )
    accepted: Faults | None = Field(
        None, description="What spoke against the bundle and was accepted by name when it was signed."
    )
    files: Files = Field(description="SHA-256 of every other file of the bundle, by name.")

    @model_validator(mode="after")
    def _learnt(self) -> "Manifest":
        if found := self.feature_spec.open_categories:
            raise ValueError(f"values of {', '.join(found)} were never learnt; train the bundle again")
        return self

    @property
    def has_anomaly(self) -> bool:
        """Whether its anomaly percentile says anything."""
        return self.score_kinds is None or "anomaly" in self.score_kinds

    @property
    def inputs_digest(self) -> str:
        """SHA-256 (hex) of what a state depends on: the feature spec, and the source spec where there is one."""
        if self.source is None:
            return self.feature_spec.digest()
        return hashlib.sha256(f"{self.feature_spec.digest()} {self.source.digest()}".encode()).hexdigest()
