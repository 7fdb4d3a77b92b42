"""Settings: the policy."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.approval import Subject
from schemas.base import Line
from schemas.policy import Judges


class PolicySettings(BaseSettings):
    """Policy: rules, thresholds and actions behind the scores."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)
    judges: ClassVar[Judges] = "payments"
    folders: ClassVar[tuple[str, str]] = ("policies", "policy-events")
    """Of the registry: what is published, and its history."""
    signed_as: ClassVar[Subject] = "policy"
    """What persons sign when they sign its steps."""

    policy: Path | None = Field(
        None,
        description="Signed policy that decides (`assay policy sign`), where no registry has a champion of its line. Without "
        "any, thresholds alone make alerts, and outputs name no action.",
    )
    policy_line: Line = Field(
        "fraud", description="Policy line of the registry (ASSAY_REGISTRY_URL) whose champion a scorer starts with."
    )


class CreditPolicySettings(PolicySettings):
    """Policy of credit: rules, thresholds and actions behind the scores of applications."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_CREDIT_", extra="ignore", frozen=True)
    judges: ClassVar[Judges] = "applications"
    folders: ClassVar[tuple[str, str]] = ("credit-policies", "credit-policy-events")
    signed_as: ClassVar[Subject] = "credit_policy"

    policy: Path | None = Field(
        None,
        description="Signed policy that decides about applications (`assay policy sign --product credit`), where no registry "
        "has a champion of its line. Without any, the bundle's thresholds alone decide.",
    )
    policy_line: Line = Field(
        "credit",
        description="Policy line of the registry (ASSAY_REGISTRY_URL) whose champion the credit service starts with.",
    )
