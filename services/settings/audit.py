"""Settings: the audit trail of the console."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.settings.secrets import KeySecret


class AuditSettings(BaseSettings):
    """Audit trail."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_AUDIT_", extra="ignore", frozen=True)

    key: KeySecret = Field(
        None,
        description="Key of the seals on the console's audit records (HMAC-SHA-256), by which `assay verify --audit` checks. "
        "Without one, who may write the topic can replace the trail. 16 bytes or more.",
    )
    key_file: Path | None = Field(None, description="File that holds that key.")
    key_command: str | None = Field(None, repr=False, description="Command that prints that key, run without a shell.")


def audit_key(settings: AuditSettings) -> bytes | None:
    """The key, from wherever the settings say. Raises SettingsError."""
    from services.errors import SettingsError
    from services.settings.secrets import KEY_BYTES_MIN, SecretError, find_secret

    try:
        found = find_secret("ASSAY_AUDIT_KEY", settings.key, settings.key_file, settings.key_command)
    except SecretError as error:
        raise SettingsError(f"{str(error).rstrip('.')}.") from None
    if found is None:
        return None
    key = found.text.strip().encode()
    if len(key) < KEY_BYTES_MIN:
        raise SettingsError(
            f"{found.where} holds no key of {KEY_BYTES_MIN} bytes: make one with `openssl rand -hex 32`."
        )
    return key
