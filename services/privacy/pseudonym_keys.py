"""The keys that card ids are made with: the current one, and the previous one during a rotation."""

from models.bundle.keys import KeyFileError, seal_key
from schemas.privacy import PrivacyKey
from services.errors import SettingsError
from services.settings.loading import load
from services.settings.privacy import PseudonymSettings
from services.settings.secrets import Found, SecretError, find_secret

CURRENT, PREVIOUS = "ASSAY_PSEUDONYM_KEY", "ASSAY_PSEUDONYM_PREVIOUS_KEY"


def pseudonym_keys(*, needing_previous: bool) -> tuple[PrivacyKey, PrivacyKey | None]:
    """As the settings have them, the previous one where it is needed. Raises SettingsError."""
    settings = load(PseudonymSettings)
    try:
        found = find_secret(CURRENT, settings.key, settings.key_file, settings.key_command)
        current = _key(settings.key_id, found, CURRENT)
        if not needing_previous:
            return current, None
        found = find_secret(PREVIOUS, settings.previous_key, settings.previous_key_file, settings.previous_key_command)
        previous = _key(settings.previous_key_id, found, PREVIOUS)
    except (SecretError, KeyFileError) as error:
        raise SettingsError(f"{str(error).rstrip('.')}.") from None
    if previous.key_id == current.key_id or previous.secret == current.secret:
        raise SettingsError(f"{CURRENT} and {PREVIOUS} are the same key or have the same name: give each its own.")
    return current, previous


def _key(key_id: str | None, found: Found | None, setting: str) -> PrivacyKey:
    if found is None:
        raise SettingsError(
            f"{setting} is not set: make a key with `assay privacy keygen`, and name it in {setting}_FILE."
        )
    if key_id is None:
        raise SettingsError(f"{setting}_ID is not set: give the key's name.")
    return PrivacyKey(key_id, seal_key(found.text, found.where).secret)
