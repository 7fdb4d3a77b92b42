"""A payment generator's description of itself: its `manifest.json`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.base import Count, Digest, EventTimeMs, LargeCount, Line, Message, Number, Share, Version
from schemas.manifest import Figures, Files, Key, Libraries, Settings, Text

KNOTS_MAX = 4096


class GeneratorColumn(Message):
    """One column that is drawn, as its quantile function: linear between knots that never fall."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", max_length=64)] = Field(description="What it is.")
    levels: Annotated[tuple[Share, ...], Field(min_length=2, max_length=KNOTS_MAX)] = Field(
        description="Shares of the payments up to each value, from 0 to 1; two of one value are a share of its own."
    )
    values: Annotated[tuple[Number, ...], Field(max_length=KNOTS_MAX)] = Field(
        description="The values, in the column's unit."
    )
    whole: bool = Field(description="Values are whole numbers.")

    @model_validator(mode="after")
    def _rises(self) -> "GeneratorColumn":
        if len(self.levels) != len(self.values):
            raise ValueError("levels and values differ in length")
        if self.levels != tuple(sorted(self.levels)) or self.values != tuple(sorted(self.values)):
            raise ValueError("levels and values must never fall")
        return self


Columns = Annotated[tuple[GeneratorColumn, ...], Field(max_length=512)]


class GeneratorManifest(Message):
    """Identity, contract and origin of a generator."""

    format_version: Literal[1] = Field(1, description="Version of the layout.")
    name: Line = Field(description="Name of the line.")
    version: Version = Field(description="Grows with each release of the line.")
    created_at_ms: EventTimeMs = Field(
        description="The end of the data; the same run with the same seed gives the same."
    )
    owner: Text = Field(description="Who answers for it.")
    licence: Text = Field(description="Under which licence it may be used.")
    permitted_use: Text = Field(description="What it may be used for.")
    network: Key = Field(description="The preset of the network.")
    noise: Annotated[int, Field(ge=1, le=4096)] = Field(description="Width of the graph's input.")
    columns: Columns = Field(description="What the graph's output holds, in order.")
    data: Text = Field(description="What it was trained on, in words.")
    data_digest: Digest = Field(description="SHA-256 of the training rows.")
    records: Count = Field(description="Payments that it was trained on.")
    seed: LargeCount = Field(description="Seed of every random draw.")
    settings: Settings = Field(description="Everything else that the run was started with.")
    libraries: Libraries = Field(description="Versions of the libraries that trained it.")
    quality: Figures = Field(description="How like the real payments its own are, and how near.")
    files: Files = Field(description="SHA-256 of every other file, by name.")
