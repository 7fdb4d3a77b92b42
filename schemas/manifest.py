"""What a bundle says of itself: `manifest.json`."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from schemas.base import Count, EventTimeMs, Message, Probability
from schemas.control import BUNDLE_NAME, BUNDLE_VERSION_MAX
from schemas.evaluation import Evaluation
from schemas.feature_spec import FeatureSpec

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Product = Literal["fraud", "credit"]


class Thresholds(Message):
    """From which score on an alert is raised, and why there."""

    probability: Probability = Field(description="Alert from this probability on.")
    anomaly_percentile: Annotated[float, Field(ge=0.0, le=100.0)] = Field(description="Alert from this percentile on.")
    objective: str = Field(description="What they were chosen for, on which data.")


class TrainingRun(Message):
    """Where the model comes from."""

    data: str = Field(description="What it was trained on, in words.")
    data_digest: Digest = Field(description="SHA-256 of the training data's columns.")
    train_records: Count = Field(description="Transactions in the training cut.")
    validation_records: Count = Field(description="Transactions in the validation cut.")
    test_records: Count = Field(description="Transactions in the test cut.")
    seed: Count = Field(description="Seed of every random draw.")
    settings: dict[str, JsonValue] = Field(description="Everything else that the run was started with.")
    libraries: dict[str, str] = Field(description="Versions of the libraries that trained it.")
    code: str = Field("unknown", description="Version of the code that trained it, with its commit where there is one.")


class Manifest(Message):
    """Identity, contract and origin of a bundle."""

    format_version: Literal[1] = Field(1, description="Version of the bundle's layout.")
    name: Annotated[str, Field(pattern=BUNDLE_NAME)] = Field(description="Name of the model line.")
    version: Annotated[int, Field(ge=1, le=BUNDLE_VERSION_MAX)] = Field(
        description="Grows with each release of the line."
    )
    product: Product = Field(description="What it scores.")
    created_at_ms: EventTimeMs = Field(
        description="Given by the trainer; the same run with the same seed gives the same."
    )
    owner: str = Field(description="Who answers for it.")
    licence: str = Field(description="Under which licence it may be used.")
    permitted_use: str = Field(description="What it may be used for.")
    feature_spec: FeatureSpec = Field(description="The features that the graph expects, in order.")
    thresholds: Thresholds = Field(description="When to alert.")
    training: TrainingRun = Field(description="Where it comes from.")
    metrics: dict[str, float] = Field(description="Measured on the test cut; gan_: by the GAN's gate, on validation.")
    evaluation: Evaluation | None = Field(None, description="The same cut in tables, with intervals.")
    files: dict[str, Digest] = Field(description="SHA-256 of every other file of the bundle, by name.")
