"""Text of others, as a terminal may show it."""


def printable(text: str) -> str:
    """Text as a terminal may show it: what would speak to it, escape sequences and the like, as its escape. Lines stay."""
    return (
        text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    )
