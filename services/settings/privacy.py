"""Settings of privacy: pseudonyms at the edge, decisions sealed per subject."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.privacy import KEY_ID_PATTERN
from services.settings.secrets import Secret

KeyId = Annotated[str, Field(pattern=KEY_ID_PATTERN)]


class PseudonymSettings(BaseSettings):
    """Pseudonym keys."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_PSEUDONYM_", extra="ignore", frozen=True)

    key: Secret = Field(None, description="The current key: 32 bytes in base64.")
    key_file: Path | None = Field(None, description="File that holds that key.")
    key_command: str | None = Field(None, repr=False, description="Command that prints that key, run without a shell.")
    key_id: KeyId = Field("k1", description="Its name, in front of each pseudonym: a letter, then letters and digits.")
    previous_key: Secret = Field(None, description="The key before, while cards move to the current one.")
    previous_key_file: Path | None = Field(None, description="File that holds that key.")
    previous_key_command: str | None = Field(
        None, repr=False, description="Command that prints that key, run without a shell."
    )
    previous_key_id: KeyId | None = Field(None, description="Its name.")


class SubjectSettings(BaseSettings):
    """Sealed decision records."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_SUBJECT_", extra="ignore", frozen=True)

    key: Secret = Field(
        None,
        description="Seals decision records, and opens them for auditors: 32 bytes in base64. Without one records are plain.",
    )
    key_file: Path | None = Field(None, description="File that holds that key.")
    key_command: str | None = Field(None, repr=False, description="Command that prints that key, run without a shell.")
    salts_url: str | None = Field(
        None,
        repr=False,
        description="Needed with a key: where each subject's half of its key is kept, one small file, the same for all: "
        "a directory, or a URL that fsspec opens (s3://..., extra `store`). `assay privacy erase` deletes it.",
    )
