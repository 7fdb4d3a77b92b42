"""Settings: the credit service."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.approval import Subject
from schemas.base import Group, Line
from schemas.manifest import Product


class CreditSettings(BaseSettings):
    """Credit service."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_CREDIT_", extra="ignore", frozen=True)

    product: ClassVar[Product] = "credit"
    folders: ClassVar[tuple[str, str]] = ("credit-bundles", "credit-events")
    signed_as: ClassVar[Subject] = "credit_bundle"

    group: Group = Field(
        "assay-credit", description="Consumer group of the credit service; ASSAY_GROUP is the scorer's."
    )
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9468, description="Port of its /metrics, /livez and /readyz; 0 takes a free one."
    )
    bundle: Path | None = Field(
        None,
        description="Bundle that judges applications, a directory or a (sealed) container, where no registry has a champion "
        "(ASSAY_REGISTRY_URL).",
    )
    registry_line: Line = Field(
        "credit",
        description="Model line of the registry's bundles of credit whose champion the credit service starts with.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where models run. cuda refuses to start without a usable GPU; auto says what it took."
    )
    batch_records_max: Annotated[int, Field(ge=1, le=10_000)] = Field(
        200,
        description="Applications in a micro-batch, at most: reasons for one take some 10 ms, and must not hold up many.",
    )
    swap_watch_records: Annotated[int, Field(ge=100)] = Field(
        2_000,
        description="After a swap: over how many applications of a process the new model is watched, the old one kept ready.",
    )
    swap_alert_ratio_max: Annotated[float, Field(gt=1)] = Field(
        2.0,
        description="Watched: more applications beyond its thresholds than this times the old model's share, or fewer than "
        "its inverse: rolled back.",
    )
    swap_latency_ratio_max: Annotated[float, Field(gt=1)] = Field(
        5.0, description="Watched: more model time an application than this times the old model's: rolled back."
    )
