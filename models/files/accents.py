"""Letters without their accents, in names of columns and months alike: apart, since topics are read where no file can be."""

import re
import unicodedata


def without_accents(text: str) -> str:
    """The letters alone: ä as a, é as e."""
    return re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFD", text))
