"""Text of others, as a terminal may show it."""


def printable(text: str) -> str:
    """Text that is safe for a terminal: control characters and escape sequences are shown as escapes. Line breaks stay."""
    return (
        text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    )


SHOWN_MAX = 4


def masked(card_id: str) -> str:
    """The last characters of an id: four at most, and never more than a third of it. Ids are pseudonyms, yet masked."""
    shown = min(SHOWN_MAX, len(card_id) // 3)
    return "***" + card_id[len(card_id) - shown :]
