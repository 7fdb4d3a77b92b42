"""Where output goes: results to stdout, everything else to stderr."""

import json
from typing import Any

from rich.console import Console

results = Console(soft_wrap=True, highlight=False)
notes = Console(stderr=True, soft_wrap=True, highlight=False)


def shown(text: str) -> str:
    """Text of a record as a terminal may show it: what is not printable, escape sequences among it, as its escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(value), flush=True)
