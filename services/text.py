"""Text of others, as a terminal may show it."""


def printable(text: str) -> str:
    """Text that is safe for a terminal: control characters and escape sequences are shown as escapes. Line breaks stay."""
    return (
        text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    )
