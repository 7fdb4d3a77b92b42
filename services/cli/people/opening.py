"""The key that opens what is sealed per subject, for the commands that show it."""

from typing import TYPE_CHECKING

from services.errors import AssayError

if TYPE_CHECKING:
    from schemas.case import Case
    from services.privacy.subject_keys import SubjectKeys


def keys_to_open() -> "SubjectKeys":
    """As the settings have them. Raises AssayError where no key is set."""
    from services.privacy.subject_keys import subject_keys
    from services.settings.loading import load
    from services.settings.privacy import SubjectSettings

    keys = subject_keys(load(SubjectSettings))
    if keys is None:
        raise AssayError("--open needs the key that seals decisions: set ASSAY_SUBJECT_KEY or ASSAY_SUBJECT_KEY_FILE.")
    return keys


def opened(case: "Case") -> "Case":
    """The case with its sealed attributes in clear, as far as they open. Raises AssayError."""
    from services.privacy.sealed_attributes import opened_case
    from services.privacy.subject_keys import SubjectKeysError

    try:
        return opened_case(case, keys_to_open())
    except SubjectKeysError as error:
        raise AssayError(
            f"The case cannot be opened: {error}. ASSAY_SUBJECT_SALTS_URL says where the salts are."
        ) from None
