"""Settings: the policy."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Line


class PolicySettings(BaseSettings):
    """Policy: rules, thresholds and actions behind the scores."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    policy: Path | None = Field(
        None,
        description="Signed policy that decides (`assay policy sign`), where no registry has a champion of its line. Without "
        "any, thresholds alone make alerts, and outputs name no action.",
    )
    policy_line: Line = Field(
        "fraud", description="Policy line of the registry (ASSAY_REGISTRY_URL) whose champion a scorer starts with."
    )
