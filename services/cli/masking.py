"""Masked card ids: they are pseudonyms, yet only their ends are shown."""

SHOWN_MAX = 4


def masked(card_id: str) -> str:
    """The last characters of an id: four at most, and never more than a third of it."""
    shown = min(SHOWN_MAX, len(card_id) // 3)
    return "***" + card_id[len(card_id) - shown :]
