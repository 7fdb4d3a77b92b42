"""Masked card ids: they are pseudonyms, yet only their ends are shown."""

from services.text import masked

__all__ = ["masked"]
