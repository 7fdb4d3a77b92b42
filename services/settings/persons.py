"""Settings: persons who approve and sign."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PersonsSettings(BaseSettings):
    """Second persons and their signatures."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_PERSONS_", extra="ignore", frozen=True)

    file: Path | None = Field(
        None,
        description="YAML file of the persons whose signatures count: under `persons` each `name`, `role`, `public_key` (PEM), "
        "and `left` (2026-11-30) of who left. Needed with ASSAY_PERSONS_SIGNATURES_MIN.",
    )
    signatures_min: Annotated[int, Field(ge=0, le=4)] = Field(
        0,
        description="A promotion, rollback or withdrawal of a bundle or policy counts with the signatures of so many persons "
        "(risk-officer, admin), and a list's entry with those of leads too; without them scorers, the credit service and "
        "commands pass it over. 2: no one alone. 0: none are needed.",
    )
    key_file: Path | None = Field(
        None, description="Private key (PEM) that commands sign with as a person; ASSAY_KEY_PASSWORD opens it."
    )
    four_eyes: str = Field(
        "",
        description="Changes by commands and the console that wait for a second person's approval, comma-separated: bundles, "
        "policies, lists.",
    )
    request_h: Annotated[float, Field(gt=0, le=24 * 90)] = Field(
        72.0, description="A request for such a change waits so long."
    )
