"""Settings: bundles and the registry."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.settings.secrets import Secret


class BundleSettings(BaseSettings):
    """Bundles and the registry."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    bundle_public_keys: str = Field(
        "",
        description="Public keys, one of which must have signed a bundle: PEM files, comma separated, or the PEM itself. "
        "Without one nothing scores.",
    )
    demo_bundle: bool = Field(
        False,
        description="For a look, as `assay demo` does: the demo's bundles score where none is set, and its key is trusted "
        "where none is pinned. Not for data that matters.",
    )
    allow_unsigned_bundles: bool = Field(
        False,
        description="Score with bundles that no one signed. Anyone who can write a bundle then decides what is fraud.",
    )
    bundle_version_min: Annotated[int, Field(ge=1)] = Field(
        1, description="Older versions are refused, rollbacks too: raise it when a signed bundle turns out to be bad."
    )
    policy_version_min: Annotated[int, Field(ge=1)] = Field(
        1,
        description="Older versions of a policy are refused, rollbacks too: raise it when a signed policy turns out to be bad.",
    )
    bundle_seal_key: Secret = Field(None, description="Key that opens sealed bundles: 32 bytes in base64.")
    bundle_seal_key_file: Path | None = Field(None, description="File that holds that key.")
    bundle_seal_key_command: str | None = Field(
        None,
        repr=False,
        description="Command that prints that key, run without a shell when a sealed bundle is met: the way to a KMS.",
    )
    registry_url: str | None = Field(
        None,
        repr=False,
        description="Bundle registry: a directory, or a URL that fsspec opens (s3://..., extra `store`).",
    )
    registry_line: str = Field("fraud", description="Model line of the registry whose champion a scorer starts with.")
