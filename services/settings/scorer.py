"""Settings: the scorer."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.approval import Subject
from schemas.manifest import Product


class ScorerSettings(BaseSettings):
    """Scorer."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)
    product: ClassVar[Product] = "fraud"
    folders: ClassVar[tuple[str, str]] = ("bundles", "events")
    """Of the registry: what is published, and its history."""
    signed_as: ClassVar[Subject] = "bundle"
    """What persons sign when they sign its steps."""

    bundle: Path | None = Field(
        None,
        description="Bundle that scores, a directory or a (sealed) container, where no registry has a champion "
        "(ASSAY_REGISTRY_URL).",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where models run. cuda refuses to start without a usable GPU; auto says what it took."
    )
    cards_max: Annotated[int, Field(ge=1)] = Field(
        250_000,
        description="Cards remembered in each partition. Beyond it the longest idle (by event time) are forgotten, those of "
        "one or two payments first, down to an eighth of the room.",
    )
    terminals_max: Annotated[int, Field(ge=1_000)] = Field(
        1_000_000,
        description="Terminals that the profiler keeps profiles of, some 630 bytes each, in each scorer, too. Beyond it those "
        "of the fewest payments are forgotten, down to an eighth of the room; then the longest idle of the others.",
    )
    decision_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="Share of the transactions without alert whose decision is recorded too."
    )
    control_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Share of the alerts marked `let_through`, by transaction id: set it where payments are blocked on alerts, "
        "and do not block these, so that quality stays measurable.",
    )
    card_numbers_refused_in: Literal["card_id", "ids"] = Field(
        "card_id",
        description="Where a card number makes a payment or a label a dead letter. ids: in transaction_id and terminal_id too, "
        "which are repeated in outputs. Not where these are plain numbers: of 16 random digits one in 23 looks like a card's.",
    )

    reasons_per_minute_max: Annotated[int, Field(ge=0)] = Field(
        3000,
        description="Alerts of a partition and minute of the log that are given reasons. In a storm those beyond are written "
        "and counted with `reasons_left_out`; only what is more severe than these still gets some, up to twice as many.",
    )

    swap_watch_records: Annotated[int, Field(ge=100)] = Field(
        20_000,
        description="After a swap: over how many payments of a process the new model is watched, the old one kept ready.",
    )
    swap_alert_ratio_max: Annotated[float, Field(gt=1)] = Field(
        3.0,
        description="Watched: more alerts than this times the old model's rate, or fewer than its inverse: rolled back.",
    )
    swap_latency_ratio_max: Annotated[float, Field(gt=1)] = Field(
        5.0, description="Watched: more model time a payment than this times the old model's: rolled back."
    )
